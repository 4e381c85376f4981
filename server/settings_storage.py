"""server.toml, the sections about storing: database, partitions, retention, evidence, ingest."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from server.settings_section import Section


class DatabaseSettings(Section):
    """Where passages are kept."""

    url: str = Field(
        default="",
        description="SQLAlchemy address, 'postgresql+psycopg2://user:password@host/name'; "
        "empty = SQLite in the data folder.",
    )
    pool_size: int = Field(default=10, ge=1, le=200, description="Connections kept per process.")
    busy_timeout_ms: int = Field(
        default=5_000, ge=10, le=60_000, description="How long a writer waits for a lock."
    )
    statement_timeout_ms: int = Field(
        default=30_000, ge=100, le=600_000, description="PostgreSQL: a statement is ended after."
    )
    distributed: Literal["no", "citus"] = Field(
        default="no",
        description="citus = `migrate` distributes passages by plate over the workers of a Citus "
        "cluster; url is its coordinator.",
    )
    shards: int = Field(
        default=32, ge=1, le=1024, description="Citus: into how many shards; fixed once made."
    )


class PartitionSettings(Section):
    """PostgreSQL: passages and pictures are cut by time."""

    width_days: int = Field(
        default=7,
        ge=1,
        le=31,
        description="Days in a partition. 1 from about 10 million passages a day on; a route over "
        "a year then takes longer to plan. A change holds for new partitions.",
    )
    ahead_days: int = Field(default=14, ge=1, le=365, description="Made ahead by.")
    backlog_days: int = Field(
        default=30,
        ge=0,
        le=3660,
        description="Days back for which a partition is made when passages of theirs come.",
    )
    cover_after_days: int = Field(
        default=3,
        ge=1,
        le=36_600,
        description="The sightings of a partition that is over by so many days are packed by "
        "plate; routes and companions over months are read of that.",
    )


class RetentionSettings(Section):
    """What is deleted when. What alerts and cases hold is exempt."""

    enabled: bool = Field(default=True, description="Whether the server deletes by itself.")
    passages_days: int = Field(
        default=365, ge=0, le=36_600, description="Passages are kept so long; 0 = for ever."
    )
    pictures_days: int = Field(
        default=180, ge=0, le=36_600, description="Pictures are kept so long; 0 = for ever."
    )
    candidates_days: int = Field(
        default=90,
        ge=1,
        le=3660,
        description="Plates read once and not surely leave the register of plates after.",
    )
    every_s: int = Field(default=3600, ge=10, le=86_400, description="How often it is looked.")


class PlateSettings(Section):
    """The register of plates seen."""

    count_every_s: float = Field(
        default=20.0, ge=0.5, le=3600, description="How far the register lags behind."
    )
    sure_score: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="A plate read whole with this score is entered at once, a weaker one when it "
        "is seen again.",
    )


class EvidenceSettings(Section):
    """Where pictures are kept."""

    store: str = Field(
        default="",
        description="Empty = the folder `evidence` in the data folder; 's3://bucket/prefix' = "
        "S3-compatible storage.",
    )
    s3_endpoint: str = Field(
        default="", description="Address of the S3 service; empty = that of AWS."
    )
    s3_region: str = Field(default="us-east-1", description="Region of the bucket.")
    s3_key_id: str = Field(default="", description="Access key; empty = AWS_ACCESS_KEY_ID.")
    s3_secret_file: Path | None = Field(
        default=None, description="File with the secret key; none = AWS_SECRET_ACCESS_KEY."
    )
    thumbnail_px: int = Field(default=320, ge=32, le=1024, description="Longer side of thumbnails.")


class IngestSettings(Section):
    """What is believed of what agents send."""

    retry_after_s: int = Field(
        default=2, ge=1, le=600, description="Retry-After when the database is locked or away."
    )
    future_tolerance_s: float = Field(
        default=10.0, ge=0, le=3600, description="A capture time later than this is flagged."
    )
    max_clock_offset_ms: float = Field(
        default=1_000.0, ge=0, le=3_600_000, description="A larger measured offset is flagged."
    )
    max_waiting: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="Batches taken in at a time; more are sent away with Retry-After.",
    )
    commit_passages: int = Field(
        default=2_000, ge=200, le=50_000, description="Most passages in one transaction."
    )


class MetricsSettings(Section):
    """The numbers at /metrics, for Prometheus."""

    allow_from: tuple[str, ...] = Field(
        default=("127.0.0.1", "::1"), description="Addresses that may read them."
    )
