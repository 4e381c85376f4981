"""From ``agent.toml`` to a checked configuration, or to messages that name file and key."""

import difflib
import re
import tomllib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from checkpoint_agent.config import AgentConfig
from checkpoint_agent.config_base import BASE_DIR, Section
from checkpoint_agent.errors import ConfigError
from checkpoint_agent.log import masked


def load_config(path: Path) -> AgentConfig:
    """Read and check a configuration file.

    Raises:
        ConfigError: naming the file, and every key that is wrong with what is expected.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        tables = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: no valid TOML: {error}") from error
    try:
        return AgentConfig.model_validate(tables, context={BASE_DIR: path.resolve().parent})
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        said = [_fault(fault) for fault in faults if not _follows_from_another(fault, faults)]
        raise ConfigError("\n".join(f"{path}: {line}" for line in said)) from None


def _follows_from_another(fault: ErrorDetails, faults: Sequence[ErrorDetails]) -> bool:
    """A list that is too short only because its items are faulty."""
    place = fault["loc"]
    return fault["type"] == "too_short" and any(
        other["loc"][: len(place)] == place and other["loc"] != place for other in faults
    )


def _fault(fault: ErrorDetails) -> str:
    """``camera[0].sorce: unknown key; did you mean 'source'?``."""
    where = key_name(fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = _known_keys(fault["loc"][:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
        return f"{where}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{where}: missing"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "string_pattern_mismatch":
        message = f"wrong form; expected is: {_description(fault['loc'])}"
    given = fault["input"]
    if isinstance(given, str | int | float | bool | datetime):
        return f"{where}: {message}, got {masked(str(given))!r}"
    return f"{where}: {message}" if where else message


def key_name(location: Sequence[str | int]) -> str:
    """``("camera", 0, "source")`` as it is said to people: ``camera[0].source``."""
    name = ""
    for step in location:
        if isinstance(step, int):
            name += f"[{step}]"
        elif not re.match(r"^(function-|tagged-union|literal\[|datetime$|constrained)", step):
            name += f".{step}" if name else step
    return name


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """The keys of the table at a place of the configuration."""
    table: type[Section] = AgentConfig
    for step in location:
        if isinstance(step, str):
            table = _table_of(table.model_fields[step].annotation)
    return list(table.model_fields)


def _description(location: Sequence[str | int]) -> str:
    """What a field's description says."""
    table: type[Section] = AgentConfig
    *tables, key = (step for step in location if isinstance(step, str))
    for step in tables:
        table = _table_of(table.model_fields[step].annotation)
    return table.model_fields[key].description or key


def _table_of(annotation: object) -> type[Section]:
    """The table in ``ServerConfig`` or ``tuple[CameraConfig, ...]``."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Section):
            return part
    raise TypeError(f"{annotation} holds no table")
