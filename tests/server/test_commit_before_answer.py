"""Nothing is acknowledged that is not committed: decision 0004, held against the framework."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from server.watchlists.matching import WatchlistCache
from tests.server.conftest import PURPOSE, Site, jpeg, make_passage


class Broken(Exception):  # noqa: N818
    """A failure that nothing in the server expects."""


@pytest.fixture
def failing_commit(site: Site, request: pytest.FixtureRequest) -> Callable[[Exception], None]:
    """Makes every commit of the site's database raise, from now on."""

    def fail(error: Exception) -> None:
        def refuse(_connection: Any) -> None:
            raise error

        engine = site.context.database.engine
        event.listen(engine, "commit", refuse)
        request.addfinalizer(lambda: event.remove(engine, "commit", refuse))

    return fail


def test_a_commit_that_fails_is_never_a_success(site: Site, failing_commit) -> None:
    passage = make_passage()
    failing_commit(Broken())
    answer = site.post(passage)
    assert answer.status_code == 500
    assert "results" not in answer.text
    assert site.count("passage") == 0


def test_a_database_that_goes_away_at_the_commit_is_503_with_retry_after(
    site: Site, failing_commit
) -> None:
    failing_commit(OperationalError("COMMIT", {}, Exception("gone")))
    answer = site.post(make_passage())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["code"] == "unavailable"


def test_after_a_failed_commit_the_same_batch_is_accepted(site: Site) -> None:
    passage = make_passage()
    engine = site.context.database.engine

    def refuse(_connection: Any) -> None:
        raise OperationalError("COMMIT", {}, Exception("gone"))

    event.listen(engine, "commit", refuse)
    assert site.post(passage).status_code == 503
    event.remove(engine, "commit", refuse)
    assert site.outcomes(passage) == ["accepted"]


def test_a_picture_is_not_acknowledged_before_its_row_is_committed(
    site: Site, failing_commit
) -> None:
    failing_commit(Broken())
    assert site.put(jpeg("x")).status_code == 500


def test_a_matcher_that_fails_fails_the_batch(site: Site, monkeypatch) -> None:
    """A broken matcher must never mean that nobody is wanted."""

    def broken(_self: WatchlistCache, _session: Session) -> None:
        raise Broken

    monkeypatch.setattr(WatchlistCache, "current", broken)
    assert site.post(make_passage()).status_code == 500
    monkeypatch.undo()
    assert site.count("passage") == 0


def test_an_alert_that_cannot_be_raised_takes_the_passage_back(site: Site, monkeypatch) -> None:
    site.as_role("officer").watch("鲁H12345")

    def broken(*_args: Any, **_options: Any) -> None:
        raise IntegrityError("INSERT", {}, Exception("no"))

    monkeypatch.setattr("server.ingest.pipeline.raise_alerts", broken)
    assert site.post(make_passage()).status_code == 500
    monkeypatch.undo()
    assert site.count("passage") == site.count("alert") == 0


def test_no_answer_to_a_query_without_its_record(site: Site, monkeypatch) -> None:
    site.post(make_passage())
    person = site.as_role("operator")

    def broken(*_args: Any, **_options: Any) -> None:
        raise Broken

    monkeypatch.setattr("server.audit._hash", broken)
    answer = person.get("/api/v1/passages", plate="鲁H12345", **PURPOSE)
    assert answer.status_code == 500
    assert "鲁H12345" not in answer.text


def test_a_query_whose_record_cannot_be_committed_has_no_answer(site: Site, failing_commit) -> None:
    site.post(make_passage())
    person = site.as_role("operator")
    failing_commit(Broken())
    answer = person.get("/api/v1/passages", plate="鲁H12345", **PURPOSE)
    assert answer.status_code == 500
    assert "鲁H12345" not in answer.text
