"""What may be asked: one typed question per analysis. Values out of bounds name their field."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

PlateText = Annotated[str, Field(min_length=2, max_length=16)]
Id = Annotated[str, Field(min_length=1, max_length=64)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Where(_Model):
    """Checkpoints: by name, within a circle or polygon, on a road, or of an area (辖区)."""

    checkpoint_ids: tuple[Id, ...] = Field(default=(), max_length=500)
    circle: str | None = Field(
        default=None, max_length=100, description="lon,lat,radius_m; WGS-84."
    )
    polygon: str | None = Field(default=None, max_length=20_000, description="lon,lat lon,lat …")
    road: str = Field(default="", max_length=100, description="Part of the road's name.")
    area: str = Field(default="", max_length=64, description="Identifier of an area.")

    @property
    def is_everywhere(self) -> bool:
        """Whether nothing is said."""
        return self == Where()


class Question(_Model):
    """What all of them have: the period, and why it is asked."""

    since: AwareDatetime = Field(description="Inclusive.")
    until: AwareDatetime = Field(description="Exclusive.")
    purpose: str | None = Field(default=None, max_length=200)
    case_number: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _forwards(self) -> "Question":
        if self.since >= self.until:
            raise ValueError("until: must be after since")
        return self


class Companions(Question):
    """Who travels with this vehicle (同行)."""

    kind: Literal["companions"] = "companions"
    plate: PlateText
    gap_s: float = Field(default=60.0, ge=1, le=600)
    min_checkpoints: int = Field(default=3, ge=1, le=100)
    min_meetings: int = Field(default=1, ge=1, le=100)


class Clones(Question):
    """Where this plate was and one vehicle cannot have been (套牌)."""

    kind: Literal["clones"] = "clones"
    plate: PlateText


class Condition(_Model):
    """A place and a time of an area collision."""

    where: Where
    since: AwareDatetime
    until: AwareDatetime

    @model_validator(mode="after")
    def _usable(self) -> "Condition":
        if self.since >= self.until:
            raise ValueError("until: must be after since")
        if self.where.is_everywhere:
            raise ValueError("where: say where")
        return self


class Collision(_Model):
    """Plates common to several places and times (区域碰撞)."""

    kind: Literal["collision"] = "collision"
    conditions: tuple[Condition, ...] = Field(min_length=2, max_length=8)
    at_least: int | None = Field(default=None, ge=2, le=8, description="None = all of them.")
    purpose: str | None = Field(default=None, max_length=200)
    case_number: str | None = Field(default=None, max_length=64)


class FirstEntry(Question):
    """Plates at the city's entries that were not seen anywhere for a long time (首次入城)."""

    kind: Literal["first_entry"] = "first_entry"
    where: Where = Where()
    direction: Literal["", "approaching", "receding"] = ""
    quiet_days: int = Field(default=90, ge=1, le=366)


class Frequent(Question):
    """Plates that pass a place often (频繁出入)."""

    kind: Literal["frequent"] = "frequent"
    where: Where
    at_least: int = Field(default=10, ge=2, le=10_000)


class Nocturnal(Question):
    """How much of a vehicle's life is night (昼伏夜出)."""

    kind: Literal["nocturnal"] = "nocturnal"
    plate: PlateText


class Stays(Question):
    """Where a vehicle comes to stay (落脚点)."""

    kind: Literal["stays"] = "stays"
    plate: PlateText
    stay_hours: float = Field(default=4.0, ge=0.5, le=72)
    min_stays: int = Field(default=3, ge=1, le=100)


class Hidden(Question):
    """Where a plate should have been read and was not (隐匿)."""

    kind: Literal["hidden"] = "hidden"
    plate: PlateText
    min_times: int = Field(default=5, ge=1, le=100)
    min_share: float = Field(default=0.8, ge=0.5, le=1.0)


class Counterfeit(Question):
    """Vehicles that do not look like what their plate is registered for (假牌)."""

    kind: Literal["counterfeit"] = "counterfeit"
    plate: PlateText | None = None
    where: Where = Where()
    min_passages: int = Field(default=2, ge=1, le=100)


class SectionSpeed(Question):
    """Average speed over a surveyed section (区间测速)."""

    kind: Literal["section_speed"] = "section_speed"
    from_id: Id
    to_id: Id
    length_m: float = Field(ge=200, le=200_000, description="As surveyed, along the road.")
    limit_kmh: float = Field(default=80.0, ge=10, le=200)


class Flow(Question):
    """Vehicles per checkpoint, hour, lane and kind, against the week before (流量)."""

    kind: Literal["flow"] = "flow"
    where: Where


class TravelTimes(Question):
    """How long it takes between checkpoints, against the week before (行程时间, 拥堵)."""

    kind: Literal["travel_times"] = "travel_times"
    where: Where


Ask = Annotated[
    Companions | Clones | Collision | FirstEntry | Frequent | Nocturnal | Stays | Hidden
    | Counterfeit | SectionSpeed | Flow | TravelTimes,
    Field(discriminator="kind"),
]  # fmt: skip


class CityCompanions(Question):
    """Everybody's companions (全域同行)."""

    kind: Literal["companions"] = "companions"
    gap_s: float = Field(default=60.0, ge=1, le=600)
    min_checkpoints: int = Field(default=3, ge=2, le=100)
    min_meetings: int = Field(default=2, ge=1, le=100)


class CityClones(Question):
    """All plates that cannot be one vehicle's (全域套牌); feeds the queue of clones if all is seen."""

    kind: Literal["clones"] = "clones"


class CityNocturnal(Question):
    """All vehicles that come out at night (全域昼伏夜出)."""

    kind: Literal["nocturnal"] = "nocturnal"
    where: Where = Where()
    min_share: float = Field(default=0.8, ge=0.5, le=1.0)
    min_nights: int = Field(default=3, ge=1, le=31)


class CityTransit(Question):
    """Vehicles that only pass through (过境)."""

    kind: Literal["transit"] = "transit"
    within_hours: float = Field(default=6.0, ge=0.25, le=24)


class CityHidden(Question):
    """All plates that are missed where everybody else is read (全域隐匿)."""

    kind: Literal["hidden"] = "hidden"
    min_times: int = Field(default=5, ge=2, le=100)
    min_share: float = Field(default=0.8, ge=0.5, le=1.0)


AskCity = Annotated[
    CityCompanions | CityClones | CityNocturnal | CityTransit | CityHidden,
    Field(discriminator="kind"),
]

KINDS: tuple[type[Question | Collision], ...] = (
    Clones, Companions, Collision, FirstEntry, Frequent, Nocturnal, Stays, Hidden, Counterfeit,
    SectionSpeed, Flow, TravelTimes,
)  # fmt: skip
CITY_KINDS: tuple[type[Question], ...] = (
    CityClones, CityCompanions, CityNocturnal, CityTransit, CityHidden,
)  # fmt: skip
