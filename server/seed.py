"""Checkpoints, cameras, agents, users and watchlist entries from a file; for demos and imports.

Applying the same file again changes nothing: everything is found by its identifier. The file is
JSON or TOML with the tables of :class:`Seed`.
"""

import json
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from server.auth.accounts import Account, Role, add_user, set_areas, set_password
from server.auth.agents import bind_camera, is_valid_token, issue_token, register_agent
from server.auth.areas import put_area
from server.checkpoints.service import CheckpointPlace, put_camera, put_checkpoint
from server.errors import Conflict, SettingsError
from server.settings import Settings
from server.tables import User, WatchlistEntry
from server.watchlists.entries import NewEntry
from server.watchlists.service import Doing, add_entry


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SeedCamera(_Table):
    """A camera of a checkpoint."""

    id: str
    name: str = ""
    bearing_deg: float | None = None


class SeedCheckpoint(_Table):
    """A checkpoint; position WGS-84, degrees."""

    id: str
    name: str
    name_en: str = ""
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)
    road: str = ""
    direction: str = ""
    cameras: tuple[SeedCamera, ...] = ()


class SeedAgent(_Table):
    """An agent and the cameras it may speak for."""

    id: str
    name: str = ""
    cameras: tuple[str, ...] = ()


class SeedUser(_Table):
    """A person; the password is set to this one whenever the file is applied."""

    name: str
    password: SecretStr
    role: Role
    display_name: str = ""
    badge_number: str = ""
    unit: str = ""
    areas: tuple[str, ...] | None = None
    """None = he sees everywhere."""


class SeedArea(_Table):
    """An area and exactly its checkpoints."""

    id: str
    name: str
    checkpoints: tuple[str, ...] = ()


class SeedEntry(_Table):
    """A watchlist entry; in force from ``valid_from``, else from when it is first applied."""

    plate: str
    reason: str
    level: int = Field(ge=1, le=4)
    case_number: str
    note: str = ""
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None


class Seed(_Table):
    """A whole file."""

    checkpoints: tuple[SeedCheckpoint, ...] = ()
    agents: tuple[SeedAgent, ...] = ()
    areas: tuple[SeedArea, ...] = ()
    users: tuple[SeedUser, ...] = ()
    watchlist: tuple[SeedEntry, ...] = ()


def load_seed(path: Path) -> Seed:
    """Read a seed file.

    Raises:
        SettingsError: it cannot be read, or a key is wrong; the message names file and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: neither JSON nor TOML: {error}") from None
    try:
        return Seed.model_validate(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        said = (f"{path}: {'.'.join(map(str, f['loc']))}: {f['msg']}" for f in faults)
        raise SettingsError("\n".join(said)) from None


def apply_seed(
    session: Session, seed: Seed, *, tokens_dir: Path | None, settings: Settings, now: datetime
) -> None:
    """Bring the database to what the file says; tokens go to ``tokens_dir/<agent>.token``."""
    for checkpoint in seed.checkpoints:
        _put(session, checkpoint, now)
    for agent in seed.agents:
        register_agent(session, agent.id, now, agent.name)
        for camera_id in agent.cameras:
            bind_camera(session, agent.id, camera_id)
        if tokens_dir is not None:
            write_token(session, agent.id, tokens_dir / f"{agent.id}.token", now)
    for area in seed.areas:
        put_area(session, area.id, area.name, area.checkpoints, now)
    for user in seed.users:
        _user(session, user, now)
    for entry in seed.watchlist:
        _watch(session, entry, _author(session, seed), settings, now)


def write_token(session: Session, agent_id: str, path: Path, now: datetime) -> None:
    """Leave a valid token in a file that only its owner reads; a valid one there stays."""
    if path.is_file() and is_valid_token(
        session, agent_id, path.read_text(encoding="utf-8").strip()
    ):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(issue_token(session, agent_id, now) + "\n", encoding="utf-8")


def _put(session: Session, checkpoint: SeedCheckpoint, now: datetime) -> None:
    place = CheckpointPlace(
        id=checkpoint.id,
        name=checkpoint.name,
        name_en=checkpoint.name_en,
        lat=checkpoint.lat,
        lon=checkpoint.lon,
        road=checkpoint.road,
        direction=checkpoint.direction,
    )
    put_checkpoint(session, place, now)
    for camera in checkpoint.cameras:
        put_camera(
            session,
            camera_id=camera.id,
            checkpoint_id=checkpoint.id,
            now=now,
            name=camera.name,
            bearing_deg=camera.bearing_deg,
        )


def _user(session: Session, user: SeedUser, now: datetime) -> None:
    password = user.password.get_secret_value()
    if session.get(User, user.name) is not None:
        set_password(session, user.name, password)
        if user.areas is not None:
            set_areas(session, user.name, user.areas)
        return
    add_user(
        session,
        name=user.name,
        password=password,
        role=user.role,
        now=now,
        display_name=user.display_name,
        badge_number=user.badge_number,
        unit=user.unit,
        area_ids=user.areas,
    )


def _author(session: Session, seed: Seed) -> Account:
    """In whose name entries are made: the first of the file's users who may make them."""
    for user in seed.users:
        row = session.get(User, user.name)
        if row is not None and Role(row.role).covers(Role.OFFICER):
            return Account(
                name=row.name,
                display_name=row.display_name,
                role=Role(row.role),
                badge_number=row.badge_number,
                unit=row.unit,
                csrf_token="",
                expires_at=row.created_at,
            )
    raise SettingsError("watchlist: the file needs a user who may make entries (an officer)")


def _watch(
    session: Session, entry: SeedEntry, author: Account, settings: Settings, now: datetime
) -> None:
    known = session.scalar(
        select(WatchlistEntry.id).where(
            WatchlistEntry.case_number == entry.case_number,
            WatchlistEntry.created_by == author.name,
            WatchlistEntry.note == entry.note,
            WatchlistEntry.plate == entry.plate,
        )
    )
    if known is not None:
        return
    wanted = NewEntry(
        plate=entry.plate,
        reason=entry.reason,
        level=entry.level,
        case_number=entry.case_number,
        valid_from=entry.valid_from,
        valid_to=entry.valid_to,
        note=entry.note,
    )
    try:
        add_entry(session, wanted, Doing(author, "seed", now, settings))
    except Conflict:
        return  # the same plate under the same case, put there by somebody else
