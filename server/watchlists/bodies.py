"""Bodies of the watchlist's requests."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from server.passages.lookup import in_utc
from server.watchlists.entries import NewEntry

_Text = Annotated[str, Field(max_length=2000)]
_Names = Annotated[tuple[Annotated[str, Field(max_length=120)], ...], Field(max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EntryBody(_Body):
    """A vehicle to be watched."""

    plate: str = Field(default="", max_length=64)
    match: str = Field(default="exact", max_length=12)
    tolerance: float | None = None
    plate_kinds: _Names = ()
    plate_colors: _Names = ()
    vehicle_colors: _Names = ()
    reason: str = Field(max_length=32)
    level: int = Field(ge=1, le=4)
    intercept: bool = False
    secret: bool = False
    people: _Names = ()
    case_number: str = Field(max_length=64)
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    note: _Text = ""
    contact: str = Field(default="", max_length=200)
    tell: _Names = ()
    area: tuple[tuple[float, float], ...] = Field(default=(), max_length=500)
    checkpoints: _Names = ()
    hours: _Names = ()

    def entry(self) -> NewEntry:
        """As the service takes it."""
        values = {name: getattr(self, name) for name in EntryBody.model_fields}
        values["valid_from"] = in_utc("valid_from", self.valid_from)
        values["valid_to"] = in_utc("valid_to", self.valid_to)
        return NewEntry(**values)


class ApplyBody(EntryBody):
    """An application; with ``urgent``, why it cannot wait, it is in force at once."""

    urgent: _Text = ""

    def entry(self) -> NewEntry:
        """As the service takes it."""
        return EntryBody.model_validate(self.model_dump(exclude={"urgent"})).entry()


class NoteBody(_Body):
    """A word to a step."""

    note: _Text = ""


class ApproveBody(NoteBody):
    """An approval; ``activate`` puts the entry in force with it."""

    activate: bool = False


class ReasonBody(_Body):
    """Why an application is sent back."""

    reason: _Text


class UrgeBody(_Body):
    """Why an entry cannot wait."""

    why: _Text


class ExtendBody(NoteBody):
    """Until when; null = until withdrawn."""

    valid_to: AwareDatetime | None


class WithdrawBody(_Body):
    """Why an entry is withdrawn."""

    reason: _Text
    code: str = Field(default="other", max_length=16)
