"""What can go wrong while reading plates, and who must act.

::

    AnprError
    ├── WeightsError    a model file is missing, altered or of the wrong form: the installer acts
    ├── ImageError      a picture cannot be decoded or has no usable size: the caller acts
    └── InferenceError  a network failed on a good picture: the developers act

None of them ever turns into "no plate": a model that fails is not an empty road.
"""


class AnprError(Exception):
    """Base of everything that anpr raises on purpose."""


class WeightsError(AnprError):
    """A model file is missing, altered or unusable; the message names the file."""


class ImageError(AnprError):
    """A picture cannot be decoded or has no usable size; the message names file or shape."""


class InferenceError(AnprError):
    """A network failed on a valid picture; the message names the model."""
