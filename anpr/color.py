"""Ground colour of a plate, and whether it is a plate at all."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from anpr.errors import InferenceError, WeightsError
from anpr.plate import PlateColor
from anpr.session import Network
from anpr.types import Image
from anpr.weights import ModelFiles

SIZE_PX: Final = (72, 24)
"""Width and height of the network's input: the whole plate, rows not joined."""
CLASSES: Final = (
    PlateColor.BLUE,
    PlateColor.YELLOW,
    PlateColor.GREEN,
    PlateColor.YELLOW_GREEN,
    PlateColor.WHITE,
    PlateColor.BLACK,
    PlateColor.OTHER,
)
"""The network's classes in order; one more follows, "not a plate"."""
_ROUNDED: Final = 0.01
"""How far from 1 the classes' probabilities may add up to."""


class ColorRead(NamedTuple):
    """What the colour network says of one plate."""

    colors: Mapping[PlateColor, float]
    """Distribution over the grounds, given that it is a plate."""
    not_a_plate: float
    """Probability that the picture shows no plate, [0, 1]."""


class ColorNetwork:
    """The colour network; may be shared between threads."""

    def __init__(self, model: ModelFiles, *, threads: int = 1) -> None:
        """Load the network.

        Raises:
            WeightsError: its classes are not those of :data:`CLASSES`.
        """
        expected = [*CLASSES, "not_a_plate"]
        if model.settings.get("classes") != expected:
            raise WeightsError(
                f"{model.path('color.onnx')}: classes in the manifest are "
                f"{model.settings.get('classes')}, expected {expected}"
            )
        self._network = Network(model.path("color.onnx"), threads=threads)
        if self._network.input_type != "tensor(uint8)":
            raise WeightsError(
                f"{self._network.path}: takes {self._network.input_type}, "
                f"expected bytes (N, {SIZE_PX[1]}, {SIZE_PX[0]}, 3); export it again"
            )

    def classify(self, plates: Sequence[Image]) -> list[ColorRead]:
        """Colours of plates, each ``rectify_whole(image, quad, SIZE_PX)``.

        Raises:
            InferenceError: the network failed, or answered with another shape than agreed or with
                what are no probabilities.
        """
        if not plates:
            return []
        batch = plates[0][None] if len(plates) == 1 else np.stack(plates)
        (probabilities,) = self._network.run(batch).values()
        if probabilities.shape != (len(plates), len(CLASSES) + 1):
            raise InferenceError(f"{self._network.path}: answered {probabilities.shape}")
        rows = probabilities.tolist()
        if not all(abs(sum(row) - 1) < _ROUNDED for row in rows):
            raise InferenceError(f"{self._network.path}: answered no probabilities: {rows}")
        return [_color_read(row) for row in rows]


def _color_read(row: list[float]) -> ColorRead:
    *grounds, not_a_plate = row
    total = max(sum(grounds), 1e-9)
    colors = {c: p / total for c, p in zip(CLASSES, grounds, strict=True)}
    return ColorRead(colors, min(1.0, not_a_plate))
