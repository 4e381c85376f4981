"""A pinhole camera over a road.

The world: x metres to the camera's right, y metres ahead along the road, z metres up; the camera
stands over the origin. Image: pixels, origin top left.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Where the camera hangs and what its lens shows."""

    width_px: int = 1280
    height_px: int = 720
    focal_px: float = 4000.0
    height_m: float = 5.8
    tilt_deg: float = 14.2
    """Downwards."""
    yaw_deg: float = 0.0
    """To the right."""
    x_m: float = 0.0

    @cached_property
    def axes(self) -> Points:
        """Rows: the camera's right, down and forward in the world, ``(3, 3)``."""
        tilt, yaw = np.radians([self.tilt_deg, self.yaw_deg])
        forward = np.array([np.sin(yaw) * np.cos(tilt), np.cos(yaw) * np.cos(tilt), -np.sin(tilt)])
        right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
        return np.array([right, np.cross(forward, right), forward])

    def project(self, points_m: Any) -> Points:
        """World points ``(n, 3)`` in front of the camera as pixels ``(n, 2)``."""
        seen = (np.asarray(points_m, float) - (self.x_m, 0.0, self.height_m)) @ self.axes.T
        centre = (self.width_px / 2, self.height_px / 2)
        return np.asarray(seen[:, :2] / seen[:, 2:] * self.focal_px + centre)

    def px_per_m(self, point_m: tuple[float, float, float]) -> float:
        """Scale at a point, across the line of sight."""
        offset = np.asarray(point_m) - (self.x_m, 0.0, self.height_m)
        return self.focal_px / float(offset @ self.axes[2])

    def ground_y(self, row_px: float, z_m: float = 0.0) -> float:
        """How far ahead a point of height ``z_m`` is that shows in this row (middle column).

        Rows above the horizon give infinity.
        """
        angle = np.radians(self.tilt_deg) + np.arctan((row_px - self.height_px / 2) / self.focal_px)
        return float((self.height_m - z_m) / np.tan(angle)) if angle > 1e-3 else float("inf")


def checkpoint_camera(width_px: int = 1280, height_px: int = 720) -> Camera:
    """A camera on a gantry over two lanes.

    At 1280x720 plates are some 95 to 110 px wide where they are best seen.
    """
    return Camera(width_px, height_px, focal_px=4000.0 * width_px / 1280)
