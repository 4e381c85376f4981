"""The wire contract is its bytes: the committed schemas and what agents have really sent."""

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from anpr.plate import PlateColor, PlateKind
from server import wire
from server.wire import v1
from server.wire_schema import MESSAGES, schema_files

HERE = Path(__file__).parent
GOLDEN = sorted((HERE / "golden" / "v1").glob("*.json"))
SCHEMAS = HERE.parent.parent / "docs" / "wire"


def message_of(path: Path) -> str:
    """``agent-0.1.0-passage_batch-small.json`` → ``passage_batch.v1``."""
    return path.stem.split("-")[2] + ".v1"


def committed(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(
        (SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")
    )
    return schema


def test_the_committed_schemas_are_those_of_the_code() -> None:
    """If this fails on purpose: ``python -m server wire-schema docs/wire``, and review the diff."""
    files = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.glob("*.json")}
    assert files == schema_files()


@pytest.mark.parametrize("name", MESSAGES)
def test_the_committed_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(committed(name))


def test_there_are_golden_messages() -> None:
    assert {"passage_batch.v1", "heartbeat.v1"} <= {message_of(path) for path in GOLDEN}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_what_agents_sent_is_read_and_written_back_byte_for_byte(path: Path) -> None:
    """Fields that were added since do not appear in what was sent without them."""
    sent = path.read_bytes()
    read = MESSAGES[message_of(path)].model_validate_json(sent)
    assert read.model_dump_json(by_alias=True, exclude_unset=True).encode() == sent


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_what_agents_sent_satisfies_the_committed_schema(path: Path) -> None:
    validator = jsonschema.Draft202012Validator(
        committed(message_of(path)), format_checker=jsonschema.FormatChecker()
    )
    message = json.loads(path.read_text(encoding="utf-8"))
    assert list(validator.iter_errors(message)) == []


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_field_from_the_future_is_ignored_everywhere(path: Path) -> None:
    model = MESSAGES[message_of(path)]
    message = json.loads(path.read_bytes())

    def aged(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: aged(inner) for key, inner in value.items()} | {"from_the_future": [1]}
        return [aged(inner) for inner in value] if isinstance(value, list) else value

    read: BaseModel = model.model_validate(aged(message))
    assert read == model.model_validate(message)


def batch(**change: Any) -> dict[str, Any]:
    message = json.loads((HERE / "golden/v1/agent-0.1.0-passage_batch-small.json").read_bytes())
    message["passages"][0] |= change
    result: dict[str, Any] = message
    return result


@given(
    change=st.dictionaries(
        st.sampled_from(
            ["passage_id", "camera_id", "captured_at", "plate", "lane", "speed_kmh", "evidence",
             "direction", "vehicle_color", "plate_quad_px", "track", "models", "schema"]
        ),
        st.none() | st.booleans() | st.integers(-2, 500) | st.text(max_size=3)
        | st.lists(st.integers(0, 3), max_size=3) | st.just({}),
        min_size=1,
        max_size=2,
    )
)  # fmt: skip
def test_schema_and_code_refuse_alike(change: dict[str, Any]) -> None:
    """Whatever the schema refuses, the code refuses: nobody may rely on our leniency.

    The other way about the code may be stricter (formats), never laxer in what it requires.
    """
    message = batch(**change)
    validator = jsonschema.Draft202012Validator(committed("passage_batch.v1"))
    try:
        v1.PassageBatch.model_validate_json(json.dumps(message), strict=True)
    except ValidationError:
        return
    assert list(validator.iter_errors(message)) == []


def test_what_the_grammar_says_the_wire_can_carry() -> None:
    """The wire spells its vocabulary itself; it must hold every word of the reader's."""
    assert {color.value for color in PlateColor} == set(get_args(v1.PlateColor))
    assert {kind.value for kind in PlateKind} == set(get_args(v1.PlateKind))


def test_paths_and_limits_are_pinned() -> None:
    """A fleet in the field has these built in."""
    assert (wire.INGEST_PATH, wire.EVIDENCE_PATH, wire.HEARTBEAT_PATH, wire.WATCHLIST_PATH) == (
        "/api/v1/passages",
        "/api/v1/evidence/{sha256}",
        "/api/v1/heartbeats",
        "/api/v1/agent/watchlist",
    )
    assert (wire.MAX_BATCH_PASSAGES, wire.MAX_BATCH_BYTES, wire.MAX_EVIDENCE_BYTES) == (
        200,
        4 * 1024 * 1024,
        8 * 1024 * 1024,
    )
