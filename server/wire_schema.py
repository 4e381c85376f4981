"""The wire contract as JSON Schema files, for whoever speaks it without our code."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from server.wire import Heartbeat, PassageBatch, Receipt, WatchlistCopy

MESSAGES: dict[str, type[BaseModel]] = {
    "passage_batch.v1": PassageBatch,
    "receipt.v1": Receipt,
    "heartbeat.v1": Heartbeat,
    "watchlist_copy.v1": WatchlistCopy,
}


def schema_files() -> dict[str, str]:
    """File name to content, as committed in ``docs/wire``."""
    return {f"{name}.schema.json": _text(model) for name, model in MESSAGES.items()}


def write_schemas(folder: Path) -> None:
    """Write all schemas into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_files().items():
        (folder / name).write_text(text, encoding="utf-8")


def _text(model: type[BaseModel]) -> str:
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True, mode="validation"),
    }
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
