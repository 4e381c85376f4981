"""How wide plates are in this camera's picture: wider below, because they are nearer. Pure.

Learned from plates that were read for sure. Lamps and badges are taken for plates now and then,
and nobody can read them; most are of a size that no plate has in their place.
"""

from dataclasses import dataclass
from typing import Final

from anpr.types import Box

_ENOUGH: Final = 12
"""So many sure plates say how wide others are."""
_FADES_AT: Final = 400.0
"""From so many on, older plates count less: cameras are turned."""
_NARROWEST: Final = 0.42
"""A motorcycle's plate is half as wide as a car's (GA 36-2018); narrower is none."""
_WIDEST: Final = 2.2


@dataclass(slots=True)
class PlateScale:
    """Width over height in the picture, as the sums of a straight line."""

    n: float = 0.0
    y: float = 0.0
    yy: float = 0.0
    w: float = 0.0
    yw: float = 0.0

    def learn(self, box: Box) -> None:
        """Take in a plate that was read for sure."""
        keep = 1.0 if self.n < _FADES_AT else 1.0 - 1.0 / _FADES_AT
        y, width = _middle(box), box.width_px
        self.n = keep * self.n + 1.0
        self.y = keep * self.y + y
        self.yy = keep * self.yy + y * y
        self.w = keep * self.w + width
        self.yw = keep * self.yw + y * width

    def width_px(self, y_px: float) -> float | None:
        """How wide a plate is at a height; ``None`` while too little is known."""
        if self.n < _ENOUGH:
            return None
        spread = self.n * self.yy - self.y * self.y
        if spread <= self.n * self.n:  # all in one row: as wide as they were
            return self.w / self.n
        slope = (self.n * self.yw - self.y * self.w) / spread
        return (self.w - slope * self.y) / self.n + slope * y_px

    def is_plausible(self, box: Box) -> bool:
        """Whether a plate can be of this size in this place, as far as is known."""
        expected = self.width_px(_middle(box))
        if expected is None or expected <= 0:
            return True
        return _NARROWEST <= box.width_px / expected <= _WIDEST

    def as_list(self) -> list[float]:
        """All of it, to be kept."""
        return [self.n, self.y, self.yy, self.w, self.yw]


def _middle(box: Box) -> float:
    return (box.y1 + box.y2) / 2
