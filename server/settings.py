"""server.toml, typed. A misspelt key or a value out of bounds is an error naming file and key.

Order of precedence: environment (``KAKOU_DATA_DIR``, ``KAKOU_HTTP__PORT`` …: sections and keys
joined by two underscores), then the file, then the defaults below, which are the safe ones.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator

from server.errors import SettingsError
from server.settings_analyses import AnalysisSettings, VehicleSettings
from server.settings_map import MapSettings
from server.settings_notices import NoticeSettings
from server.settings_section import Section
from server.settings_security import (
    ApprovalSettings,
    AuditSettings,
    LimitSettings,
    OidcSettings,
    SessionSettings,
)
from server.settings_storage import (
    DatabaseSettings,
    EvidenceSettings,
    IngestSettings,
    MetricsSettings,
    PartitionSettings,
    PlateSettings,
    RetentionSettings,
)
from server.settings_watchlist import CaseSettings, WatchlistSettings

ENV_PREFIX = "KAKOU_"
ENV_CONFIG = "KAKOU_CONFIG"
"""Names the file when the command line does not."""


class HttpSettings(Section):
    """How the server is reached."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port; 0 = any free one.")
    cookie_secure: Literal["auto", "always"] = Field(
        default="auto",
        description="Secure flag of the session cookie: auto = when the request came over TLS.",
    )
    forwarded_allow_ips: str = Field(
        default="127.0.0.1",
        description="Proxies whose X-Forwarded-* headers are believed, comma separated.",
    )
    shutdown_s: int = Field(default=5, ge=1, le=120, description="Time for requests to finish.")


class AlertSettings(Section):
    """Raising alerts and telling of them."""

    repeat_s: float = Field(
        default=120.0,
        ge=0,
        le=86_400,
        description="A watched vehicle seen again at the same checkpoint within this time "
        "is added to its alert instead of raising another.",
    )
    poll_ms: int = Field(
        default=500, ge=50, le=10_000, description="How often other processes' alerts are sought."
    )
    keepalive_s: float = Field(
        default=15.0, ge=0.1, le=300, description="Pause after which an idle stream says so."
    )
    overdue_s: float = Field(
        default=120.0,
        ge=1,
        le=86_400,
        description="An alert that nobody has signed (签收) for so long rises to the level above, "
        "and again after each further so long.",
    )
    highest_rank: int = Field(
        default=2, ge=0, le=9, description="How many levels above there are to rise to."
    )


class SearchSettings(Section):
    """Looking things up, and answering for it."""

    max_page: int = Field(default=200, ge=1, le=1000, description="Most passages on one page.")
    browse_hours: float = Field(
        default=24.0,
        ge=0,
        le=24 * 365,
        description="How far back passages may be looked through, without naming a plate, "
        "without a purpose.",
    )
    purposes: tuple[str, ...] = Field(
        default=(
            "criminal_case",
            "traffic_accident",
            "stolen_vehicle",
            "missing_person",
            "lost_property",
            "traffic_violation",
            "public_safety",
            "alert_response",
            "system_test",
        ),
        min_length=1,
        description="The purposes (查询事由) a query may give.",
    )


class ExportSettings(Section):
    """Files to take away."""

    max_rows: int = Field(
        default=100_000, ge=1, le=1_000_000, description="Most passages in one file."
    )
    font_file: Path | None = Field(
        default=None,
        description="A font with Chinese for PDF; none = one that the system has "
        "(Debian: fonts-noto-cjk).",
    )


class TrajectorySettings(Section):
    """Reconstruction of routes."""

    repeat_s: float = Field(
        default=30.0, ge=0, le=3600, description="Sightings at one checkpoint within are one."
    )
    clock_sigma_s: float = Field(
        default=2.0, ge=0, le=60, description="Uncertainty of one checkpoint's clock."
    )
    impossible_kmh: float = Field(
        default=150.0, gt=0, le=1000, description="No vehicle covers the straight line faster."
    )
    fast_kmh: float = Field(
        default=110.0, gt=0, le=1000, description="Straight-line speed worth a second look."
    )
    slow_kmh: float = Field(
        default=8.0, ge=0, le=200, description="Below: a stop, or a checkpoint missed between."
    )
    max_sightings: int = Field(
        default=2_000, ge=2, le=100_000, description="A route is built of the newest so many."
    )
    learn_every_s: float = Field(
        default=900.0,
        ge=0.1,
        le=86_400,
        description="How often travel times are learned from passages.",
    )
    learn_after_s: float = Field(
        default=900.0,
        ge=0,
        le=86_400,
        description="Passages are learned from once they are so old; later deliveries are not.",
    )
    learn_gap_s: float = Field(
        default=3_600.0, ge=60, le=86_400, description="Two sightings further apart are two trips."
    )
    misread_cost: float = Field(
        default=0.45,
        ge=0,
        lt=1,
        description="A route takes in sightings of plates that differ by one character this alike.",
    )
    roadblock_ready_s: float = Field(
        default=600.0, ge=0, le=86_400, description="Until a unit stands at a roadblock (堵截点)."
    )


class DisplaySettings(Section):
    """How pages show what is stored in UTC."""

    time_zone: str = Field(
        default="Asia/Shanghai", description="IANA name of the zone in which people read times."
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no such time zone: {value!r}") from None
        return value


class LogSettings(Section):
    """What is written to standard error. Plates never are."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity written."
    )
    format: Literal["text", "json"] = Field(default="text", description="One line per event.")


class Settings(Section):
    """All settings of one server process."""

    data_dir: Path = Field(
        default=Path("data/server"),
        description="Everything the server keeps: SQLite database and evidence pictures. "
        "A relative path is taken from where the server is started.",
    )
    database: DatabaseSettings = DatabaseSettings()
    partitions: PartitionSettings = PartitionSettings()
    retention: RetentionSettings = RetentionSettings()
    plates: PlateSettings = PlateSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    metrics: MetricsSettings = MetricsSettings()
    http: HttpSettings = HttpSettings()
    sessions: SessionSettings = SessionSettings()
    oidc: OidcSettings = OidcSettings()
    limits: LimitSettings = LimitSettings()
    approval: ApprovalSettings = ApprovalSettings()
    audit: AuditSettings = AuditSettings()
    ingest: IngestSettings = IngestSettings()
    alerts: AlertSettings = AlertSettings()
    notices: NoticeSettings = NoticeSettings()
    search: SearchSettings = SearchSettings()
    export: ExportSettings = ExportSettings()
    watchlist: WatchlistSettings = WatchlistSettings()
    cases: CaseSettings = CaseSettings()
    trajectory: TrajectorySettings = TrajectorySettings()
    analyses: AnalysisSettings = AnalysisSettings()
    vehicles: VehicleSettings = VehicleSettings()
    map: MapSettings = MapSettings()
    display: DisplaySettings = DisplaySettings()
    log: LogSettings = LogSettings()

    @property
    def evidence_dir(self) -> Path:
        """Folder of the evidence pictures."""
        return self.data_dir / "evidence"

    @property
    def audit_anchor_file(self) -> Path:
        """Where the audit log's head is noted."""
        return self.audit.anchor_file or self.data_dir / "audit-anchors.jsonl"

    @property
    def database_url(self) -> str:
        """The address given, or that of the embedded database."""
        return self.database.url or f"sqlite:///{(self.data_dir / 'kakou.sqlite3').absolute()}"


def load_settings(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file (or ``KAKOU_CONFIG``, or none) and the environment.

    Raises:
        SettingsError: the file is missing or not TOML, or a key is unknown or out of bounds.
    """
    environ = os.environ if environ is None else environ
    if path is None and environ.get(ENV_CONFIG):
        path = Path(environ[ENV_CONFIG])
    values: dict[str, Any] = {} if path is None else _read(path)
    sources = dict.fromkeys(_leaves(values), str(path))
    for variable, text in sorted(environ.items()):
        keys = tuple(variable.removeprefix(ENV_PREFIX).lower().split("__"))
        if variable.startswith(ENV_PREFIX) and _is_ours(keys[0]):
            _put(values, keys, _from_text(text), variable)
            sources[keys] = f"environment variable {variable}"
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, sources, path)) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None


def _leaves(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, value in values.items():
        here = (*above, key)
        found += _leaves(value, here) if isinstance(value, dict) else [here]
    return found


def _put(values: dict[str, Any], keys: tuple[str, ...], value: Any, variable: str) -> None:
    node = values
    for key in keys[:-1]:
        below = node.setdefault(key, {})
        if not isinstance(below, dict):
            raise SettingsError(f"environment variable {variable}: {key} is not a section")
        node = below
    node[keys[-1]] = value


def _from_text(text: str) -> Any:
    """A JSON list stands for a list; everything else is left to the field's type."""
    if text.startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _is_ours(key: str) -> bool:
    """Whether a variable means a setting of the server, perhaps misspelt; others share the prefix."""
    return bool(get_close_matches(key, Settings.model_fields, n=1, cutoff=0.8))


def _explain(
    error: ValidationError, sources: Mapping[tuple[str, ...], str], path: Path | None
) -> str:
    lines = []
    for fault in error.errors(include_url=False):
        keys = tuple(str(part) for part in fault["loc"])
        # what gave the key itself, else the value it lies in, else something inside it
        names = [sources[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in sources]
        names += [name for at, name in sources.items() if at[: len(keys)] == keys]
        where = names[0] if names else str(path or "settings")
        said = fault["msg"]
        if fault["type"] == "extra_forbidden":
            near = get_close_matches(keys[-1], _known(keys[:-1]), n=1)
            said = "unknown key" + (f"; did you mean {near[0]}?" if near else "")
        lines.append(f"{where}: {'.'.join(keys)}: {said}")
    return "\n".join(lines)


def _known(section: tuple[str, ...]) -> list[str]:
    model: Any = Settings
    for key in section:
        field = model.model_fields.get(key)
        if field is None:
            return []
        model = field.annotation
    return list(model.model_fields)
