"""What the agent's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from checkpoint_agent.outbox import Outbox
from tests.checkpoint_agent.fakes import NOON, FakeClock, RoadsideServer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = open_outbox(tmp_path / "outbox.sqlite3")
    yield box
    box.close()


def open_outbox(
    path: Path,
    *,
    pictures_limit_bytes: int = 10**9,
    passages_limit: int = 10**6,
    min_free_bytes: int = 0,
):
    return Outbox(
        path,
        pictures_limit_bytes=pictures_limit_bytes,
        passages_limit=passages_limit,
        min_free_bytes=min_free_bytes,
        now=lambda: NOON,
    )


@pytest.fixture
def roadside() -> Iterator[RoadsideServer]:
    server = RoadsideServer()
    yield server
    server.close()
