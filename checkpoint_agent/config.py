"""The agent's configuration, ``agent.toml``: every field typed, bounded and explained.

Units are in the names, unknown keys are errors, and every message names the file and the key.
``config/agent.example.toml`` shows each field with its default.
"""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    AwareDatetime,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from checkpoint_agent.config_base import FilePath, Identifier, Section, beside_file
from checkpoint_agent.config_road import CalibrationConfig, LaneConfig, Outline, Share, TripLine
from checkpoint_agent.config_upkeep import (
    HealthConfig,
    LogConfig,
    OutboxConfig,
    ServerConfig,
    WatchlistConfig,
)
from checkpoint_agent.log import masked


class ReaderConfig(Section):
    """How plates are read."""

    recogniser: Literal["paddleocr", "onnxruntime"] = Field(
        default="paddleocr",
        description="paddleocr runs the model folder through PaddleOCR; onnxruntime runs the same "
        "folder directly, with less memory and a faster start on a small box.",
    )
    threads: int = Field(default=2, ge=1, le=64, description="Processor threads for the models.")
    models_dir: FilePath | None = Field(
        default=None, description="Folder with manifest.toml; the one shipped with Kakou if unset."
    )


class PassageConfig(Section):
    """When reads become a passage."""

    sure_reads: int = Field(
        default=2, ge=1, le=10, description="Reads that must agree before a character is claimed."
    )
    sure_alone_score: Share = Field(
        default=1.0,
        description="Score above which a vehicle's only read is claimed whole; else doubtful "
        "characters are sent as '?'. 1 = never: two reads must agree.",
    )
    enough_reads: int = Field(
        default=4,
        ge=1,
        le=50,
        description="Agreeing reads after which a plate is read again only to make sure that it "
        "is still the same vehicle.",
    )
    min_plate_width_px: float = Field(
        default=24.0,
        ge=8,
        le=2000,
        description="A vehicle whose plate never gets this wide does not pass: it is too far away.",
    )
    search_every_s: float = Field(
        default=0.08,
        ge=0,
        le=10,
        description="Plates are looked for this often at most, however many frames come; 0 = in "
        "every frame.",
    )
    close_after_s: float = Field(
        default=1.5,
        ge=0.2,
        le=60,
        description="A vehicle not seen for so long has passed.",
    )
    hold_limit_s: float = Field(
        default=10.0,
        ge=1,
        le=600,
        description="A vehicle that stays in view is reported after this time, not when it leaves.",
    )
    same_vehicle_within_s: float = Field(
        default=30.0,
        ge=0,
        le=600,
        description="The same plate seen again by the same camera within this time is the same "
        "passage.",
    )
    standing_gap_s: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="A vehicle seen again at the same place within this time has been standing "
        "there, hidden for a while.",
    )
    standing_repeat_min: float = Field(
        default=0.0,
        ge=0,
        le=10_080,
        description="A standing vehicle is reported again after so many minutes; 0 = never.",
    )


class CameraConfig(Section):
    """One camera, or a recording in place of one."""

    id: Identifier = Field(
        description="Name of the camera, as registered on the server: letters, digits, . _ -"
    )
    source: str = Field(
        min_length=1,
        description="rtsp://… or http(s)://… (MJPEG or snapshot), a folder of pictures, a video "
        "file, or a local camera: its number such as 0, or /dev/video0. What is special in a "
        "password is written as in addresses: %40 for @, %2F for /.",
    )
    follow: bool = Field(
        default=False, description="For a folder: go on with pictures that appear later."
    )
    stills: bool | None = Field(
        default=None,
        description="For a folder: each picture is a vehicle of its own, as cameras deliver them "
        "that trigger themselves. Unset: true if the names carry no capture times.",
    )
    pace: Literal["fast", "recorded"] = Field(
        default="fast",
        description="For a recording: as fast as can be read, or as it was recorded.",
    )
    speed: float = Field(
        default=1.0, ge=0.05, le=100, description="With pace recorded: so many times faster."
    )
    started_at: AwareDatetime | Literal["now"] | None = Field(
        default=None,
        description="For a recording: when its first picture was taken, with a time zone; now = "
        "when the agent first opens it. Unset: from the pictures' names or the file's date.",
    )
    snapshot_interval_s: float = Field(
        default=0.2, ge=0.02, le=3600, description="For an http snapshot: time between two."
    )
    lost_after_s: float = Field(
        default=10.0, ge=1, le=600, description="A live camera silent for so long is opened again."
    )
    region: Outline | None = Field(
        default=None,
        description="Plates outside are ignored; corners as [x, y], shares of the picture's width "
        "and height from top left. Unset: the whole picture.",
    )
    trip_line: TripLine | None = Field(
        default=None,
        description="Its two ends as [x, y], shares of the picture's width and height. A vehicle "
        "that crosses it is reported at once, if its plate is sure; and vehicles without a plate "
        "are counted on it. Unset: a level line at 0.7 of the height, for counting alone.",
    )
    unplated: bool = Field(
        default=True,
        description="Vehicles that show no plate are passages, too: what moves across the trip "
        "line as a vehicle does, and has no plate. The camera must be fixed; switch it off where "
        "it is not.",
    )
    min_vehicle_width: Share = Field(
        default=0.12,
        description="What is narrower on the trip line is no vehicle; share of the picture's width.",
    )
    lane: tuple[LaneConfig, ...] = Field(
        default=(), max_length=32, description="The lanes, one [[camera.lane]] table each."
    )
    calibration: CalibrationConfig | None = Field(
        default=None, description="Places on the road whose distances are known, for speeds."
    )

    @field_validator("source", mode="before")
    @classmethod
    def _device_number(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("source", mode="after")
    @classmethod
    def _known_scheme(cls, value: str, info: ValidationInfo) -> str:
        if "://" in value:
            if not re.match(r"^(rtsps?|https?)://[^\s/]+", value):
                raise ValueError(
                    f"{masked(value)!r} is no address of a camera: rtsp://… or http(s)://… expected"
                )
            return value
        if value.isascii() and value.isdigit():
            return value
        return str(beside_file(Path(value), info))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.started_at == "now" and self.speed != 1.0:
            raise ValueError("speed other than 1 needs a fixed started_at, or times run ahead")
        if len({lane.number for lane in self.lane}) != len(self.lane):
            raise ValueError("two lanes have the same number")
        return self

    @property
    def live(self) -> bool:
        """Whether frames come only once, at their own pace."""
        return "://" in self.source or self.source.isdigit() or self.source.startswith("/dev/")


class AgentConfig(Section):
    """The whole of ``agent.toml``."""

    agent_id: Identifier = Field(
        description="Name of this agent, as registered on the server: letters, digits, . _ -"
    )
    data_dir: FilePath = Field(description="Folder for the outbox; created if missing.")
    exit_when_done: bool = Field(
        default=False,
        description="Stop when all recordings are read and everything is delivered; exit code 3 "
        "if something is left.",
    )
    idle_exit_s: float = Field(
        default=5.0,
        ge=0.1,
        le=86_400,
        description="With exit_when_done: a followed folder without a new picture for so long is "
        "done.",
    )
    drain_limit_s: float = Field(
        default=60.0,
        ge=0.1,
        le=86_400,
        description="With exit_when_done: longest wait for the server after the last picture.",
    )
    server: ServerConfig
    reader: ReaderConfig = ReaderConfig()
    passage: PassageConfig = PassageConfig()
    outbox: OutboxConfig = OutboxConfig()
    watchlist: WatchlistConfig = WatchlistConfig()
    health: HealthConfig = HealthConfig()
    log: LogConfig = LogConfig()
    camera: tuple[CameraConfig, ...] = Field(
        min_length=1, max_length=64, description="The cameras, one [[camera]] table each."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [camera.id for camera in self.camera]
        if len(set(names)) != len(names):
            raise ValueError("two cameras have the same id")
        if self.exit_when_done and any(camera.live for camera in self.camera):
            raise ValueError("exit_when_done is for recordings; a live camera is never done")
        return self
