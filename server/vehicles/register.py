"""The register as others keep it: a CSV export of it, or a service that answers over HTTP.

A plate may be registered several times, once per kind (a car and a motorcycle share texts). What
the register knows of the vehicle is used to tell forged plates (假牌); who owns it is shown to
nobody but an officer who asks for it, with purpose and case (:mod:`server.vehicles.service`).
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx2

from server.errors import SettingsError, Unavailable
from server.settings_analyses import VehicleSettings

_FIELDS: Final = (
    "plate", "plate_kind", "vehicle_color", "vehicle_class", "make", "model", "owner", "owner_id",
    "address", "state",
)  # fmt: skip
MAX_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RegisteredVehicle:
    """One registration. '' or ``unknown`` where the register does not say."""

    plate: str
    plate_kind: str = "unknown"
    vehicle_color: str = "unknown"
    vehicle_class: str = ""
    make: str = ""
    model: str = ""
    owner: str = ""
    owner_id: str = ""
    address: str = ""
    state: str = ""
    """As the register says: normal, scrapped, stolen …"""


class VehicleRegister(Protocol):
    """Where registrations are asked for."""

    def find(self, plate: str) -> tuple[RegisteredVehicle, ...]:
        """The registrations of a plate; none if it is not registered.

        Raises:
            Unavailable: the register does not answer, or not in its form.
        """


class CsvRegister:
    """A CSV export, UTF-8, with a header; read anew when the file changes.

    Columns: ``plate`` and any of plate_kind, vehicle_color, vehicle_class, make, model, owner,
    owner_id, address, state.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self._path = path
        self._lock = Lock()
        self._read_of: tuple[int, int] | None = None
        self._by_plate: dict[str, tuple[RegisteredVehicle, ...]] = {}

    def find(self, plate: str) -> tuple[RegisteredVehicle, ...]:
        """As the protocol says."""
        with self._lock:
            try:
                state = self._path.stat()
                version = (state.st_mtime_ns, state.st_size)
                if version != self._read_of:
                    self._by_plate = read_csv(self._path)
                    self._read_of = version
            except (OSError, UnicodeDecodeError, csv.Error, SettingsError) as error:
                raise Unavailable(
                    f"the vehicle register cannot be read: {error}", retry_after_s=60
                ) from error
            return self._by_plate.get(plate, ())


def read_csv(path: Path) -> dict[str, tuple[RegisteredVehicle, ...]]:
    """Read an export, by plate.

    Raises:
        SettingsError: it has no column ``plate``.
        OSError: it cannot be read.
    """
    found: dict[str, list[RegisteredVehicle]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if "plate" not in (rows.fieldnames or ()):
            raise SettingsError(f"{path}: no column plate")
        for row in rows:
            one = _vehicle(row)
            if one.plate:
                found.setdefault(one.plate, []).append(one)
    return {plate: tuple(those) for plate, those in found.items()}


class HttpRegister:
    """A service: ``GET`` of an address with the plate, answered by a JSON list of registrations.

    404 means that the plate is not registered. Redirects are not followed; environment proxies
    are not used.
    """

    def __init__(self, url: str, token: str = "", timeout_s: float = 3.0) -> None:
        """``url`` holds ``{plate}``.

        Raises:
            SettingsError: it does not, or is no HTTP address.
        """
        if "{plate}" not in url or not url.startswith(("http://", "https://")):
            raise SettingsError("vehicles.url: an http(s) address that holds {plate}")
        self._url = url
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx2.Client(headers=headers, timeout=timeout_s, trust_env=False)

    def find(self, plate: str) -> tuple[RegisteredVehicle, ...]:
        """As the protocol says."""
        try:
            answer = self._client.get(self._url.replace("{plate}", quote(plate, safe="")))
            if answer.status_code == 404:
                return ()
            if answer.status_code != 200 or len(answer.content) > MAX_ANSWER_BYTES:
                raise Unavailable(
                    f"the vehicle register answered {answer.status_code}", retry_after_s=30
                )
            rows = json.loads(answer.content)
        except (httpx2.HTTPError, ValueError) as error:
            raise Unavailable("the vehicle register does not answer", retry_after_s=30) from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unavailable("the vehicle register does not answer in its form", retry_after_s=300)
        return tuple(one for row in rows if (one := _vehicle(row)).plate == plate)


def connected(settings: VehicleSettings) -> VehicleRegister | None:
    """The register that the settings name; None if there is none.

    Raises:
        SettingsError: both are named, or something cannot be used.
    """
    if settings.csv_file is not None and settings.url:
        raise SettingsError("vehicles: csv_file or url, not both")
    if settings.csv_file is not None:
        return CsvRegister(settings.csv_file)
    if not settings.url:
        return None
    token = ""
    if settings.token_file is not None:
        try:
            token = settings.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"vehicles.token_file: {error.strerror}") from error
    return HttpRegister(settings.url, token, settings.timeout_s)


def _vehicle(row: Mapping[str, Any]) -> RegisteredVehicle:
    values = {name: str(row.get(name) or "").strip()[:200] for name in _FIELDS}
    for name in ("plate_kind", "vehicle_color"):
        values[name] = values[name] or "unknown"
    return RegisteredVehicle(**values)
