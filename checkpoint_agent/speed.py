"""How fast a vehicle drives, from the track of its plate and a calibrated road. Pure.

A plate moves in a plane above the road, not on it. Seen from a camera at height H, a point at
height h seems to be on the road H / (H - h) times as far away from the camera's foot as it is;
ways are shortened accordingly (similar triangles).
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from checkpoint_agent.config_road import CalibrationConfig
from checkpoint_agent.tracker import Point

PLATE_HEIGHT_M: Final = 0.52
"""Of a plate's middle above the road: 0.46 m on a saloon's nose, 0.8 m on a lorry's back."""
_LEAST_POINTS: Final = 4
_LEAST_WAY_M: Final = 3.0
_STRAY_M: Final = 0.6
"""So far the places may lie from a steady drive, root of the mean square."""
_STEADY_RATIO: Final = 1.35
"""By so much may the halves of the way differ in speed; whoever brakes or pulls away has none."""
_FEW_POINTS: Final = 3
_FASTEST_KMH: Final = 300.0


class SpeedGauge:
    """The calibrated road of one camera."""

    def __init__(self, calibration: CalibrationConfig) -> None:
        """Take over what was measured on the road."""
        points = np.array(calibration.points, np.float32)
        road_m = np.array(calibration.road_m, np.float32)
        self._to_road = cv2.getPerspectiveTransform(points, road_m)
        height = calibration.camera_height_m
        self._shorter = (height - PLATE_HEIGHT_M) / height

    def speed_kmh(self, points: Sequence[Point], frame_size_px: tuple[int, int]) -> float | None:
        """The speed along the road.

        Args:
            points: Where the plate was seen.
            frame_size_px: Width and height of the camera's frames.

        Returns:
            The speed, or ``None`` if the vehicle was seen too shortly, stood, braked hard, or was
            not on the road.
        """
        if len(points) < _LEAST_POINTS:
            return None
        shares = np.array([(p.x, p.y) for p in points], np.float32)
        shares /= np.array(frame_size_px, np.float32)
        road = cv2.perspectiveTransform(shares[None], self._to_road)[0].astype(float)
        places = road * self._shorter
        times = np.array([(p.at - points[0].at).total_seconds() for p in points])
        if times[-1] <= 0 or not np.isfinite(places).all():
            return None
        if not _is_steady(times, places):
            return None
        moved = np.polyfit(times, places, 1)
        stray = places - (times[:, None] * moved[0] + moved[1])
        way_m = float(np.hypot(*moved[0])) * float(times[-1])
        strays_m = float(np.sqrt((stray**2).sum(axis=1).mean()))
        if way_m < _LEAST_WAY_M or strays_m > _STRAY_M:
            return None
        kmh = float(np.hypot(*moved[0])) * 3.6
        return kmh if kmh <= _FASTEST_KMH else None


def _is_steady(times: NDArray[np.float64], places: NDArray[np.float64]) -> bool:
    """Whether a vehicle was about as fast in the first half of its way as in the second."""
    ways = np.hypot(*(places[-1] - places[0])) / 2
    half = int(np.argmax(np.hypot(*(places - places[0]).T) >= ways))
    if half in {0, len(times) - 1}:
        return len(times) <= _FEW_POINTS
    first_s, second_s = times[half] - times[0], times[-1] - times[half]
    way_first = float(np.hypot(*(places[half] - places[0])))
    way_second = float(np.hypot(*(places[-1] - places[half])))
    if min(first_s, second_s) <= 0 or way_second <= 0:
        return False
    ratio = (way_first / first_s) / (way_second / second_s)
    return bool(1 / _STEADY_RATIO <= ratio <= _STEADY_RATIO)
