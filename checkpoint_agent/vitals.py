"""How the box itself is: temperature, memory, processor, disk."""

from dataclasses import dataclass
from pathlib import Path

import psutil

_PLAUSIBLE_C = (-40.0, 150.0)


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look at the box; what the system does not say is ``None``."""

    temperature_c: float | None
    """The hottest sensor."""
    memory_bytes: int | None
    """Resident, of this process."""
    cpu_s: float | None
    """Processor time of this process since it started."""
    disk_free_bytes: int | None
    disk_total_bytes: int | None


def vitals_of(folder: Path) -> Vitals:
    """How the box is now; ``folder`` says which disk."""
    free, total = _disk(folder)
    memory, cpu_s = _process()
    return Vitals(_temperature_c(), memory, cpu_s, free, total)


def _disk(folder: Path) -> tuple[int | None, int | None]:
    try:
        disk = psutil.disk_usage(str(folder))
    except OSError:
        return None, None
    return int(disk.free), int(disk.total)


def _process() -> tuple[int | None, float | None]:
    try:
        process = psutil.Process()
        times = process.cpu_times()
        return int(process.memory_info().rss), float(times.user + times.system)
    except psutil.Error:
        return None, None


def _temperature_c() -> float | None:
    """The hottest sensor that gives a plausible reading; many boxes have none."""
    low, high = _PLAUSIBLE_C
    try:
        chips = psutil.sensors_temperatures()
    except (AttributeError, OSError, ValueError):
        return None
    readings = [s.current for found in chips.values() for s in found if s.current is not None]
    plausible = [float(value) for value in readings if low < value < high and value != 0]
    return max(plausible, default=None)
