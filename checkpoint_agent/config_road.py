"""What the configuration says of the road in a camera's picture."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from checkpoint_agent.config_base import Section

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Corner = tuple[Share, Share]


def _sound_outline(corners: tuple[Corner, ...] | None) -> tuple[Corner, ...] | None:
    """Refuse an outline that encloses nothing or crosses itself."""
    from shapely.geometry import Polygon  # noqa: PLC0415 - only configurations with outlines pay

    if corners is not None and not (Polygon(corners).is_valid and Polygon(corners).area > 0):
        raise ValueError("the outline crosses itself or encloses nothing")
    return corners


def _sound_line(ends: tuple[Corner, Corner]) -> tuple[Corner, Corner]:
    """Refuse a line that does not lead across the picture."""
    if abs(ends[0][0] - ends[1][0]) < 0.05:
        raise ValueError("the trip line must lead across the picture, from left to right")
    return ends


Outline = Annotated[tuple[Corner, ...], Field(min_length=3), AfterValidator(_sound_outline)]
TripLine = Annotated[tuple[Corner, Corner], AfterValidator(_sound_line)]


class LaneConfig(Section):
    """One lane of the road in the picture."""

    number: int = Field(ge=1, le=32, description="1 = leftmost as seen in the picture.")
    outline: Outline = Field(
        description="Corners as [x, y], shares of the picture's width and height from top left."
    )


class CalibrationConfig(Section):
    """Where places on the road are in the picture; without it no speed is given.

    Two lines across the road with a known distance are four such places: their ends.
    """

    points: tuple[Corner, Corner, Corner, Corner] = Field(
        description="Four places on the road as [x, y], shares of the picture's width and height."
    )
    road_m: tuple[
        tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]
    ] = Field(
        description="The same places in metres: across the road, along the road; from anywhere."
    )
    camera_height_m: float = Field(
        ge=1.5, le=50, description="Height of the camera above the road; plates are not on it."
    )

    @model_validator(mode="after")
    def _spread(self) -> Self:
        for name, corners in (("points", self.points), ("road_m", self.road_m)):
            _sound_outline(corners)
            if len(set(corners)) < len(corners):
                raise ValueError(f"{name}: two of the places are the same")
        return self
