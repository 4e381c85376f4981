"""What a simulated city is to be like."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """Size, seed and what goes wrong. Shares are of vehicles, checkpoints or passages, 0 to 1."""

    seed: int = 1
    days: int = 7
    vehicles: int = 20_000
    """That live their own lives; clones and followers of convoys come on top."""
    checkpoints: int = 800
    """Each watches one direction of one road."""
    start_at: datetime = datetime(2025, 6, 1, 16, tzinfo=UTC)
    """A local midnight; this one is Monday 2 June 2025 in China."""
    utc_offset_h: int = 8
    grid_m: float = 700.0
    """Distance of crossings."""
    zones: int = 100
    """Places where trips begin and end, besides the roads that leave the city."""
    missed: float = 0.03
    """Mean share of passages of which a checkpoint tells nothing; checkpoints differ."""
    unread: float = 0.01
    """Passages without a plate."""
    misread: float = 0.02
    """Passages with one wrong character, drawn from the reader's measured confusion."""
    clones: int = 20
    """Vehicles that carry the plate of another one of the city."""
    convoys: int = 15
    """Groups of two to four that drive together on some days, and alone on others."""
    convoy_days: int = 3
    hiders: int = 20
    """Vehicles whose plate cannot be read at night."""
    fakes: int = 20
    """Vehicles whose plate is registered for a vehicle of another color and kind."""
    clock_faults: float = 0.01
    """Checkpoints whose clock goes wrong at some time."""
    jams: int = 12
    """Jams a day: half an hour or more in which a neighbourhood crawls."""
