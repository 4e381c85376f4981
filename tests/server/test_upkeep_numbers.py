"""Back-pressure, numbers, and what the log shows."""

import io
import json
import logging
import threading

from sqlalchemy.exc import OperationalError

from server import log
from server.ingest.pipeline import Batch, Ingested
from server.ingest.writer import Writer
from server.settings import LogSettings
from tests.server.conftest import NOW, Site, make_passage


def test_a_full_house_is_503_before_the_body_is_read(sqlite_site: Site) -> None:
    gate = sqlite_site.context.intake.gate
    most = sqlite_site.settings.ingest.max_waiting
    gate.inside = most
    answer = sqlite_site.post(make_passage())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    gate.inside = most - 1
    assert sqlite_site.post(make_passage()).status_code == 200
    assert gate.inside == most - 1, "the place is given back"
    assert sqlite_site.client.post(
        "/api/v1/passages", content=b"{", headers=sqlite_site.bearer
    ).status_code == 400  # fmt: skip
    assert gate.inside == most - 1, "after a failure too"


def ingested() -> Ingested:
    return Ingested((), (), NOW, 0)


def test_batches_that_wait_are_committed_together_each_answered_after_its_commit() -> None:
    going, hold = threading.Event(), threading.Event()
    groups: list[list[object]] = []

    def commit(batches: list[Batch]) -> list[Ingested]:
        groups.append(list(batches))
        if len(groups) == 1:
            going.set()
            assert hold.wait(10)
        return [ingested() for _ in batches]

    writer = Writer(commit, 1000)  # type: ignore[arg-type]
    batches = [Batch(None, [object()] * 10, None) for _ in range(6)]  # type: ignore[arg-type, list-item]
    done: list[Ingested] = []
    threads = [
        threading.Thread(target=lambda b=batch: done.append(writer.take_in(b))) for batch in batches
    ]
    threads[0].start()
    assert going.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(writer._queue) < 5:
        pass
    assert done == []
    hold.set()
    for thread in threads:
        thread.join()
    assert [len(group) for group in groups] == [1, 5]
    assert len(done) == 6


def test_a_batch_that_cannot_be_taken_in_fails_for_itself_alone() -> None:
    bad = Batch(None, [object()], None)  # type: ignore[arg-type, list-item]
    good = [Batch(None, [object()], None) for _ in range(3)]  # type: ignore[arg-type, list-item]

    def commit(batches: list[Batch]) -> list[Ingested]:
        if any(batch is bad for batch in batches):
            raise OperationalError("x", {}, Exception("poison"))
        return [ingested() for _ in batches]

    writer = Writer(commit, 1000)  # type: ignore[arg-type]
    waiting = [
        type(writer)._together.__globals__["_Waiting"](batch) for batch in [good[0], bad, *good[1:]]
    ]
    writer._go(waiting)
    assert [one.error is not None for one in waiting] == [False, True, False, False]


def test_the_numbers_count_what_happened_and_show_no_plate(site: Site) -> None:
    site.as_role("officer").watch("鲁H12345")
    passage = make_passage()
    site.post(passage, make_passage() | {"lane": 0})
    site.post(passage)
    site.client.get("/api/v1/trajectories/鲁H12345")
    settings = site.context.settings
    allowed = settings.model_copy(
        update={"metrics": settings.metrics.model_copy(update={"allow_from": ("testclient",)})}
    )
    refused = site.client.get("/metrics")
    assert refused.status_code == 403
    object.__setattr__(site.context, "settings", allowed)
    said = site.client.get("/metrics").text
    for line in (
        'kakou_passages_total{outcome="accepted"} 1.0',
        'kakou_passages_total{outcome="duplicate"} 1.0',
        'kakou_passages_total{outcome="rejected"} 1.0',
        "kakou_hits_total 1.0",
        "kakou_commit_seconds_count 2.0",
        'route="/api/v1/trajectories/{plate}"',
    ):
        assert line in said, line
    assert "12345" not in said


def test_a_line_of_the_log_has_its_parts_as_fields(sqlite_site: Site) -> None:
    stream = io.StringIO()
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        log.configure(LogSettings(format="json"))
        logging.getLogger().handlers[0].setStream(stream)  # type: ignore[attr-defined]
        sqlite_site.client.get("/api/v1/trajectories/鲁H12345")
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    ours = [line for line in lines if line["logger"].startswith("server")]  # not the client's
    (line,) = [line for line in ours if line["logger"] == "server.http"]
    assert line["route"] == "/api/v1/trajectories/{plate}"
    assert line["status"] == 401
    assert line["took_ms"] >= 0
    assert "12345" not in json.dumps(ours, ensure_ascii=False)
