"""Read licence plates from pictures: image in, plates out.

The names below are the whole public surface. They are resolved on first use, because
``anpr.plate`` (the grammar, standard library only) is imported by the server, which must not
load OpenCV and onnxruntime with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anpr.errors import AnprError, ImageError, InferenceError, WeightsError
    from anpr.reader import PlateReader, load_reader
    from anpr.types import Box, Character, Detection, PlateRead, Quad

_HOMES = {
    "AnprError": "anpr.errors",
    "Box": "anpr.types",
    "Character": "anpr.types",
    "Detection": "anpr.types",
    "ImageError": "anpr.errors",
    "InferenceError": "anpr.errors",
    "PlateRead": "anpr.types",
    "PlateReader": "anpr.reader",
    "Quad": "anpr.types",
    "WeightsError": "anpr.errors",
    "load_reader": "anpr.reader",
}

__all__ = [
    "AnprError",
    "Box",
    "Character",
    "Detection",
    "ImageError",
    "InferenceError",
    "PlateRead",
    "PlateReader",
    "Quad",
    "WeightsError",
    "load_reader",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'anpr' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
