"""server.toml, the section about analyses and the jobs that mine the whole city."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from server.settings_section import Section


class AnalysisSettings(Section):
    """Analyses, interactive and as jobs."""

    run_jobs: bool = Field(
        default=True,
        description="Whether this server runs city-wide jobs; of several servers on one database "
        "one runs at a time, each job once.",
    )
    poll_s: float = Field(default=2.0, ge=0.1, le=60, description="How often jobs are looked for.")
    threads: int = Field(
        default=1, ge=1, le=128, description="Processor cores that a job may use beside ingest."
    )
    engine: Literal["polars", "spark"] = Field(
        default="polars",
        description="What counts companions over the whole city: polars on this machine, or a Spark "
        "cluster where a day no longer fits one.",
    )
    spark_master: str = Field(
        default="local[*]",
        max_length=200,
        description="The cluster, spark://host:7077 or yarn; its workers must see data_dir.",
    )
    nightly_hour: int = Field(
        default=3,
        ge=-1,
        le=23,
        description="Local hour at which cloned plates of the day before are looked for; -1 = never.",
    )
    archive_days: int = Field(
        default=35, ge=1, le=400, description="Day files for mining are kept so long at most."
    )
    max_days: int = Field(default=31, ge=1, le=366, description="Longest period of a job.")
    max_sightings: int = Field(
        default=20_000, ge=100, le=1_000_000, description="Most passages of one plate looked at."
    )
    max_findings: int = Field(default=100, ge=1, le=1000, description="Longest interactive list.")
    keep_findings: int = Field(
        default=2_000, ge=10, le=100_000, description="Longest list that a job leaves."
    )
    jobs_days: int = Field(default=90, ge=1, le=3660, description="Results of jobs are kept.")


class VehicleSettings(Section):
    """The vehicle register (机动车登记): what plates are registered for, and to whom."""

    csv_file: Path | None = Field(
        default=None, description="A CSV export of the register; see docs/operations.md."
    )
    url: str = Field(
        default="",
        description="An HTTP service that answers GET with JSON; {plate} stands for the plate.",
    )
    token_file: Path | None = Field(
        default=None, description="File with the bearer token for that service."
    )
    timeout_s: float = Field(default=3.0, ge=0.1, le=60, description="Of one request.")
