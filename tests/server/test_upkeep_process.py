"""The upkeep beside a real server: it comes back when it dies, and goes when the server goes."""

import time
from collections.abc import Callable

import psutil
import pytest

from server.settings import Settings
from tests.server.conftest import make_passage
from tests.server.test_process import Process, process

pytestmark = pytest.mark.postgres

PATIENCE_S = 60.0


def until(true: Callable[[], bool], what: str) -> None:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < PATIENCE_S, what
        time.sleep(0.1)


def alive(one: psutil.Process) -> bool:
    """A process that died stays as a zombie until its parent asks after it: that is no upkeep."""
    return one.is_running() and one.status() != psutil.STATUS_ZOMBIE


def spawned(one: psutil.Process) -> bool:
    """Another child of the server is the tracker of its resources."""
    try:
        return alive(one) and "spawn_main" in " ".join(one.cmdline())
    except psutil.NoSuchProcess:  # it went, or became a zombie, between two looks
        return False


def upkeep_of(server: Process) -> list[psutil.Process]:
    return [one for one in psutil.Process(server.process.pid).children() if spawned(one)]


def ended(one: psutil.Process) -> bool:
    try:
        return not alive(one)
    except psutil.NoSuchProcess:
        return True


def failures(server: Process) -> bool:
    said = server.client.get("/metrics").text
    return 'kakou_upkeep_failures_total{step="process"} 1.0' in said


def test_it_comes_back_and_never_outlives_its_server(postgres_settings: Settings) -> None:
    with process(postgres_settings) as server:
        until(lambda: len(upkeep_of(server)) == 1, "no upkeep process")
        first = upkeep_of(server)[0]
        first.kill()
        until(lambda: failures(server), "nobody heard that it died")
        until(lambda: len(upkeep_of(server)) == 1, "it was not started again")
        second = upkeep_of(server)[0]
        assert second.pid != first.pid
        assert server.post(make_passage()).status_code == 200
        server.process.kill()
        server.process.wait()
        until(lambda: ended(second), "it outlived its server")
    assert any("starting it again" in line for line in server.errors)
