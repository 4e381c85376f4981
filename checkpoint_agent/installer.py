"""The installer's commands: ``calibrate``, ``doctor`` and ``replay``."""

import argparse
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
from pydantic import ValidationError

from anpr import load_reader
from checkpoint_agent.calibrate import NEEDED_PX, Calibration, calibrate, said
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig, CameraConfig, PassageConfig
from checkpoint_agent.config_file import load_config
from checkpoint_agent.doctor import examine
from checkpoint_agent.errors import ConfigError
from checkpoint_agent.film import Film, WatchedReader
from checkpoint_agent.findings import worst
from checkpoint_agent.log import masked
from checkpoint_agent.pipeline_values import Reader
from checkpoint_agent.replay import replay, table_head, table_row, write_pictures

_NOT_OF_THE_SCENE = {
    "source",
    "follow",
    "pace",
    "speed",
    "snapshot_interval_s",
    "lost_after_s",
    "started_at",
}


def add_commands(commands: Any) -> None:
    """Add the commands to a parser's sub-parsers; each sets ``command``."""
    again = commands.add_parser("replay", help="read a recording and show its passages")
    again.add_argument("recording", type=Path, metavar="VIDEO|FOLDER")
    again.add_argument("--json", action="store_true", help="one JSON line a passage")
    again.add_argument("--pictures", type=Path, metavar="DIR", help="write the evidence there")
    again.add_argument("--video", type=Path, metavar="OUT.mp4", help="write an annotated video")
    again.add_argument("--config", type=Path, metavar="agent.toml", help="use its rules and reader")
    again.add_argument("--camera", metavar="ID", help="use this camera's region and lanes")
    again.set_defaults(command=_replay)

    measure = commands.add_parser(
        "calibrate", help="say whether a camera is good enough: how wide are plates in each lane?"
    )
    measure.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="camera address, video, folder or picture; unset: the source of --camera",
    )
    measure.add_argument("--config", type=Path, metavar="agent.toml", help="use its cameras")
    measure.add_argument("--camera", metavar="ID", help="this camera; unset: the first")
    measure.add_argument("--seconds", type=_seconds, default=20.0, help="look so long (20)")
    measure.add_argument(
        "--out", type=Path, default=Path("calibrate.jpg"), metavar="JPG", help="annotated picture"
    )
    measure.add_argument("--json", action="store_true", help="one JSON object")
    measure.set_defaults(command=_calibrate)

    doctor = commands.add_parser(
        "doctor",
        help="look at cameras, server, clock, disk, models; exit code 0 good, 3 warnings, 1 bad",
    )
    doctor.add_argument("config", type=Path, metavar="agent.toml")
    doctor.add_argument("--json", action="store_true", help="one JSON line a finding")
    doctor.set_defaults(command=_doctor)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError("between 0 and 3600")
    return value


def _doctor(chosen: argparse.Namespace) -> int:
    config = load_config(chosen.config)
    findings = []
    for finding in examine(config, Clock()):
        findings.append(finding)
        if chosen.json:
            sys.stdout.write(json.dumps(finding.as_json(), ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(finding.as_text() + "\n")
        sys.stdout.flush()
    return {"good": 0, "warning": 3, "bad": 1}[worst(findings)]


# ---------------------------------------------------------------------- calibrate


def _calibrate(chosen: argparse.Namespace) -> int:
    config = load_config(chosen.config) if chosen.config else None
    camera = _camera_to_measure(chosen, config)
    reader, _ = _reader_and_rules(config)
    result = calibrate(camera, reader, Clock(), seconds=chosen.seconds)
    _write_picture(chosen.out, result)
    if chosen.json:
        line = json.dumps(_as_json(camera, result, chosen.out), ensure_ascii=False)
        sys.stdout.write(line + "\n")
    else:
        sys.stdout.write("\n".join(_as_text(camera, result, chosen.out)) + "\n")
    return 0 if result.good else 1


def _camera_to_measure(chosen: argparse.Namespace, config: AgentConfig | None) -> CameraConfig:
    camera = _camera_named(chosen, config)
    if chosen.source is None:
        if camera is None:
            raise ConfigError("calibrate: name a SOURCE, or a camera with --config agent.toml")
        return camera
    if "://" not in chosen.source and not chosen.source.isdigit():
        chosen.source = _existing(Path(chosen.source), "no such picture, folder or video file")
    return _showing(camera, chosen.source, chosen.camera or "calibrate")


def _write_picture(path: Path, result: Calibration) -> None:
    if path.suffix.lower() not in {".jpg", ".jpeg", ".png"}:
        raise ConfigError(f"{path}: the drawing is written as .jpg or .png")
    _, content = cv2.imencode(path.suffix.lower(), result.drawing)
    try:
        path.write_bytes(content.tobytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def _as_text(camera: CameraConfig, result: Calibration, out: Path) -> list[str]:
    """What the installer reads: a line a lane, Chinese first."""
    width_px, height_px = result.size_px
    lines = [f"{masked(camera.source)}  {width_px}x{height_px}  {result.frames} frames"]
    if result.picture != "good":
        lines.append("✗ " + " / ".join(said(result.picture, width_px=None, edge_px=result.edge_px)))
    for lane in result.lanes:
        mark = "✓" if lane.verdict == "good" else "✗"
        name = "" if lane.lane is None else f"车道 lane {lane.lane}："
        chinese, english = said(lane.verdict, width_px=lane.width_px, edge_px=result.edge_px)
        counted = f"（{lane.plates} plates, {lane.read} read）" if lane.plates else ""
        lines.append(f"{mark} {name}{chinese} / {english}{counted}")
    lines.append(f"→ {out}")
    return lines


def _as_json(camera: CameraConfig, result: Calibration, out: Path) -> dict[str, Any]:
    return {
        "source": masked(camera.source),
        "camera_id": camera.id,
        "good": result.good,
        "frames": result.frames,
        "width_px": result.size_px[0],
        "height_px": result.size_px[1],
        "needed_px": NEEDED_PX,
        "picture": {
            "verdict": result.picture,
            "bright_share": round(result.bright_share, 3),
            "edge_px": None if result.edge_px is None else round(result.edge_px, 2),
        },
        "lanes": [
            {
                "lane": lane.lane,
                "verdict": lane.verdict,
                "width_px": lane.width_px,
                "plates": lane.plates,
                "read": lane.read,
            }
            for lane in result.lanes
        ],
        "drawing": str(out),
    }


# ---------------------------------------------------------------------- replay


def _replay(chosen: argparse.Namespace) -> int:
    source = _existing(chosen.recording, "no such folder or video file")
    config = load_config(chosen.config) if chosen.config else None
    camera = _showing(_camera_named(chosen, config), source, chosen.camera or "replay")
    reader, rules = _reader_and_rules(config)
    watched = WatchedReader(reader)
    if not chosen.json:
        sys.stdout.write(table_head() + "\n")
    film = Film(chosen.video, camera, watched) if chosen.video else nullcontext()
    with film as open_film:
        watch = open_film.add if open_film is not None else None
        for replayed in replay(camera, rules, watched, Clock(), watch=watch):
            passage = replayed.entry.passage
            row = passage.model_dump_json(by_alias=True) if chosen.json else table_row(passage)
            sys.stdout.write(row + "\n")
            sys.stdout.flush()
            if chosen.pictures:
                write_pictures(replayed.entry, chosen.pictures)
    return 0


# ---------------------------------------------------------------------- shared


def _reader_and_rules(config: AgentConfig | None) -> tuple[Reader, PassageConfig]:
    if config is None:
        return load_reader(recogniser="onnxruntime", threads=os.cpu_count() or 1), PassageConfig()
    wanted = config.reader
    reader = load_reader(wanted.models_dir, recogniser=wanted.recogniser, threads=wanted.threads)
    return reader, config.passage


def _camera_named(chosen: argparse.Namespace, config: AgentConfig | None) -> CameraConfig | None:
    """The camera meant in the configuration, if there is one."""
    if config is None:
        return None
    cameras = {camera.id: camera for camera in config.camera}
    name = chosen.camera or config.camera[0].id
    if name not in cameras:
        raise ConfigError(f"{chosen.config}: no camera {name!r}; known are: {', '.join(cameras)}")
    return cameras[name]


def _existing(path: Path, otherwise: str) -> str:
    """The whole path of something that is there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path}: {otherwise}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return str(path.resolve())


def _showing(camera: CameraConfig | None, source: str, name: str) -> CameraConfig:
    """A camera's region, lanes and rules, looking at something else."""
    scene = {"id": name} if camera is None else camera.model_dump(exclude=_NOT_OF_THE_SCENE)
    try:
        return CameraConfig.model_validate({**scene, "source": source})
    except ValidationError as error:
        why = "; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())
        raise ConfigError(f"{masked(source)}: {why}") from None
