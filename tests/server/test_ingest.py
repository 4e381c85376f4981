"""Laws of taking passages in; each on SQLite and on PostgreSQL."""

import json
import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.server.conftest import NOW, Site, iso, jpeg, make_passage, passage_id, sha256


def test_a_passage_is_stored_once_however_often_it_is_sent(site: Site) -> None:
    passage = make_passage()
    assert site.outcomes(passage) == ["accepted"]
    assert site.outcomes(passage) == ["duplicate"]
    assert site.outcomes(passage, passage) == ["duplicate", "duplicate"]
    assert site.count("passage") == 1


def test_a_repeat_inside_one_batch_is_a_duplicate(site: Site) -> None:
    passage = make_passage()
    assert site.outcomes(passage, passage) == ["accepted", "duplicate"]
    assert site.count("passage") == 1


def test_plate_time_and_identifier_together_make_a_repeat(site: Site) -> None:
    """The key is known on whichever engine or worker holds the plate; no index by identifier."""
    passage = make_passage()
    site.post(passage)
    same = passage | {"captured_at": passage["captured_at"].replace("Z", "+00:00")}
    other = passage | {"plate": make_passage(plate="鲁A00001")["plate"]}
    assert site.outcomes(same, other) == ["duplicate", "accepted"]


def test_one_poisoned_item_never_blocks_its_batch(site: Site) -> None:
    good = [make_passage(), make_passage()]
    poisoned = [
        None,
        17,
        [],
        {},
        make_passage() | {"passage_id": "not-a-uuid"},
        make_passage() | {"lane": 0},
        make_passage() | {"camera_id": "nowhere"},
    ]
    answer = site.post(good[0], *poisoned, good[1]).json()["results"]
    assert [r["outcome"] for r in answer] == ["accepted", *["rejected"] * 7, "accepted"]
    assert all(r["reason"] for r in answer if r["outcome"] == "rejected")
    assert site.count("passage") == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lane": 0}, "lane"),
        ({"captured_at": "yesterday"}, "captured_at"),
        ({"captured_at": "2026-11-22T10:00:00"}, "captured_at"),
        ({"captured_at": "0001-01-01T00:00:00+14:00"}, "captured_at"),
        ({"camera_id": "nowhere"}, "camera_id"),
        ({"camera_id": "foreign-1"}, "camera_id"),
        ({"speed_kmh": 9000}, "speed_kmh"),
        ({"schema": "passage/2"}, "schema"),
        ({"plate": {"state": "read", "text": "A" * 17}}, "plate.text"),
        ({"plate": {"state": "read", "text": "鲁H\u0000123"}}, "plate.text"),
        ({"models": {"agent": "a\u0000", "detector": "", "recogniser": ""}}, "models.agent"),
    ],
)
def test_a_rejection_names_the_field(sqlite_site: Site, change: dict, field: str) -> None:
    (result,) = sqlite_site.post(make_passage() | change).json()["results"]
    assert result["outcome"] == "rejected"
    assert field in result["reason"]
    assert sqlite_site.count("passage") == 0


def test_what_postgresql_cannot_store_is_rejected_not_failed(site: Site) -> None:
    """NUL and lone surrogates are legal JSON and would be an error of the database."""
    raw = json.dumps(site.batch(make_passage(), make_passage()))
    raw = raw.replace('"char": "\\u9c81"', '"char": "\\u0000"', 1)
    assert "u0000" in raw
    answer = site.client.post(
        "/api/v1/passages",
        content=raw,
        headers=site.bearer | {"Content-Type": "application/json"},
    )
    assert [r["outcome"] for r in answer.json()["results"]] == ["rejected", "accepted"]


@pytest.mark.parametrize("char", ["\\u0000", "\\u001f", "\\u007f", "\x7f", "\\ud800", "\x00", "\n"])
def test_no_spelling_smuggles_in_what_cannot_be_stored(site: Site, char: str) -> None:
    """Escaped or bare: the item is rejected, or the body is no JSON; it is never a failure."""
    good, bad = make_passage(), make_passage() | {"models": {
        "agent": "MARK", "detector": "", "recogniser": ""}}  # fmt: skip
    raw = json.dumps(site.batch(bad, good), ensure_ascii=False).replace("MARK", char)
    answer = site.client.post("/api/v1/passages", content=raw.encode(), headers=site.bearer)
    if answer.status_code == 200:
        assert [r["outcome"] for r in answer.json()["results"]] == ["rejected", "accepted"]
    else:
        assert answer.status_code == 400
        assert site.count("passage") == 0


def test_an_item_whose_picture_is_not_here_is_left_out_of_the_receipt(site: Site) -> None:
    """So the agent keeps it, puts the picture again, and repeats it."""
    picture = jpeg("late")
    waiting, ready = make_passage(pictures=[picture]), make_passage()
    results = site.post(waiting, ready).json()["results"]
    assert [r["passage_id"] for r in results] == [ready["passage_id"]]
    assert site.put(picture).status_code == 201
    assert site.outcomes(waiting) == ["accepted"]


def test_any_offset_is_understood_and_utc_is_kept(site: Site) -> None:
    passage = make_passage() | {"captured_at": "2026-11-22T18:15:00.123456+08:00"}
    site.post(passage)
    found = site.as_role("operator").get(f"/api/v1/passages/{passage['passage_id']}").json()
    assert found["captured_at"] == "2026-11-22T10:15:00.123456Z"


@pytest.mark.parametrize(
    ("captured_at", "agent_clock", "flag"),
    [
        (NOW, {"synchronised": True, "offset_ms": 2.0}, "ok"),
        (NOW, {}, "ok"),
        (NOW + timedelta(seconds=11), {}, "future"),
        (NOW - timedelta(days=401), {}, "too_old"),
        (NOW, {"offset_ms": -1500.0}, "offset"),
        (NOW, {"synchronised": False}, "unsynchronised"),
    ],
)
def test_a_doubtful_time_is_kept_and_flagged(
    sqlite_site: Site, captured_at, agent_clock, flag
) -> None:
    passage = make_passage(captured_at=captured_at) | {"clock": agent_clock}
    assert sqlite_site.outcomes(passage) == ["accepted"]
    with sqlite_site.context.database.read() as session:
        stored = session.execute(text("SELECT clock_flag FROM passage")).scalar_one()
    assert stored == flag


def test_a_plate_is_spelled_one_way_however_it_was_sent(site: Site) -> None:
    site.as_role("officer").watch("鲁H12345")
    passage = make_passage(plate="鲁h·12345")
    site.post(passage)
    (alert,) = site.as_role("operator").alerts()
    assert alert["plate"] == "鲁H12345"


def test_fields_from_the_future_are_ignored(sqlite_site: Site) -> None:
    assert sqlite_site.outcomes(make_passage() | {"axles": 3}) == ["accepted"]


# ---- concurrency


def test_retries_in_any_interleaving_store_each_passage_once(site: Site) -> None:
    """Eight senders post overlapping halves of the same passages at once."""
    passages = [make_passage() for _ in range(40)]
    site.as_role("officer").watch("鲁H12345")
    accepted: list[str] = []
    failures: list[str] = []

    def send(number: int) -> None:
        mine = passages[number * 4 :] + passages[: number * 4]
        for start in range(0, 40, 10):
            answer = site.post(*mine[start : start + 10])
            if answer.status_code != 200:
                failures.append(answer.text)
                continue
            accepted.extend(
                r["passage_id"] for r in answer.json()["results"] if r["outcome"] == "accepted"
            )

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(accepted) == sorted(p["passage_id"] for p in passages)
    assert site.count("passage") == 40
    assert site.count("alert") == 1, "one vehicle at one place is one alert"
    assert site.count("alert_sighting") == 40


# ---- bodies


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b"null", 422),
        (b"[]", 422),
        (b'{"agent_id": "box"}', 422),
        (b'{"agent_id": "box", "sent_at": "2026-11-22T10:00:00Z", "passages": []}', 422),
        (b'{"agent_id": "box", "sent_at": "2026-11-22T10:00:00Z", "passages": {}}', 422),
        (b'{"agent_id": "box", "sent_at": NaN, "passages": [1]}', 400),
        (b"x" * (4 * 1024 * 1024 + 1), 413),
    ],
)
def test_a_bad_body_gets_a_problem_document(sqlite_site: Site, body: bytes, status: int) -> None:
    answer = sqlite_site.client.post("/api/v1/passages", content=body, headers=sqlite_site.bearer)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


def test_more_items_than_the_contract_allows_are_refused_whole(sqlite_site: Site) -> None:
    answer = sqlite_site.post(*[{"passage_id": "x"}] * 201)
    assert answer.status_code == 422
    assert answer.json()["field"] == "passages"


def test_a_token_speaks_only_for_its_own_agent(sqlite_site: Site) -> None:
    batch = sqlite_site.batch(make_passage(), agent_id="other")
    answer = sqlite_site.client.post("/api/v1/passages", json=batch, headers=sqlite_site.bearer)
    assert answer.status_code == 403


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nonsense"},
                                    {"Authorization": "Basic Ym94OmJveA=="}])  # fmt: skip
def test_without_a_valid_token_nothing_is_taken(sqlite_site: Site, header: dict) -> None:
    batch = sqlite_site.batch(make_passage())
    assert (
        sqlite_site.client.post("/api/v1/passages", json=batch, headers=header).status_code == 401
    )
    data = jpeg()
    put = sqlite_site.client.put(f"/api/v1/evidence/{sha256(data)}", content=data, headers=header)
    assert put.status_code == 401
    assert sqlite_site.count("passage") == sqlite_site.count("evidence") == 0


# ---- evidence


def test_a_picture_is_stored_once_and_served_as_it_came(site: Site) -> None:
    data = jpeg("scene")
    assert site.put(data).status_code == 201
    assert site.put(data).status_code == 204
    site.post(make_passage(pictures=[data]))
    person = site.as_role("operator")
    (passage,) = person.get("/api/v1/passages").json()["passages"]
    (picture,) = passage["evidence"]
    assert sha256(data) in picture["url"]
    served = person.get(picture["url"])
    assert served.content == data
    assert served.headers["content-type"] == "image/jpeg"
    assert site.count("evidence") == 1


def test_a_picture_is_served_only_to_people_logged_in(sqlite_site: Site) -> None:
    data = jpeg("scene")
    sqlite_site.put(data)
    assert sqlite_site.client.get(f"/evidence/{sha256(data)}").status_code == 401
    agent = sqlite_site.client.get(f"/evidence/{sha256(data)}", headers=sqlite_site.bearer)
    assert agent.status_code == 401


@pytest.mark.parametrize(
    ("sha", "data", "status"),
    [
        (sha256(jpeg("a")), jpeg("b"), 422),
        (sha256(b"text"), b"text", 400),
        (sha256(b""), b"", 400),
        (sha256(jpeg()[:-8]), jpeg()[:-8], 400),
        ("..%2F..%2Fetc%2Fpasswd", jpeg(), 404),
        ("A" * 64, jpeg(), 422),
    ],
)
def test_what_is_not_that_picture_is_refused(sqlite_site: Site, sha, data, status) -> None:
    answer = sqlite_site.client.put(
        f"/api/v1/evidence/{sha}", content=data, headers=sqlite_site.bearer
    )
    assert answer.status_code == status
    assert sqlite_site.count("evidence") == 0
    assert not list(sqlite_site.settings.evidence_dir.rglob("*.jpg"))


def test_a_picture_over_the_limit_is_refused(sqlite_site: Site) -> None:
    data = jpeg() + b"\0" * (8 * 1024 * 1024)
    assert sqlite_site.put(data).status_code == 413


def test_many_senders_of_one_picture_all_succeed(site: Site) -> None:
    data = jpeg("shared")
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(site.put(data).status_code))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, *[204] * 7]
    assert site.count("evidence") == 1


# ---- heartbeats


def test_a_heartbeat_is_kept_for_the_agents_own_cameras_only(site: Site) -> None:
    camera = {"connected": True, "frames_per_s": 12.5, "last_frame_at": iso(NOW), "fault": None}
    beat = {
        "agent_id": "box",
        "sent_at": iso(NOW),
        "version": "0.1.0",
        "models": {"agent": "0.1.0", "detector": "d", "recogniser": "r"},
        "started_at": iso(NOW),
        "queue_passages": 3,
        "dead_letters": 1,
        "cameras": [camera | {"camera_id": "west-1"}, camera | {"camera_id": "foreign-1"}],
    }
    answer = site.client.post("/api/v1/heartbeats", json=beat, headers=site.bearer)
    assert answer.status_code == 204
    person = site.as_role("operator")
    (agent,) = person.get("/api/v1/agents").json()
    assert agent["heartbeat"]["queue_passages"] == 3
    cameras = {
        c["id"]: c for place in person.get("/api/v1/checkpoints").json() for c in place["cameras"]
    }
    assert cameras["west-1"]["connected"] is True
    assert cameras["foreign-1"]["connected"] is None


def test_an_unread_vehicle_is_a_passage_too(site: Site) -> None:
    unread = make_passage() | {"plate": {"state": "unread"}}
    assert site.outcomes(unread, make_passage() | {"plate": {"state": "none"}}) == ["accepted"] * 2
    with site.context.database.read() as session:
        plates = session.execute(text("SELECT DISTINCT plate FROM passage")).scalars().all()
    assert plates == [""]


def test_identifiers_are_uuidv7() -> None:
    assert passage_id()[14] == "7"


def test_the_latest_passage_of_a_checkpoint_is_found_however_long_ago(site: Site) -> None:
    """Also of one whose camera's clock is ahead; none of one that nobody passed."""
    latest = {
        "west-1": NOW - timedelta(minutes=1),
        "centre-1": NOW - timedelta(days=300),
        "foreign-1": None,
    }
    for camera_id, at in latest.items():
        for earlier in (timedelta(0), timedelta(hours=5), timedelta(days=200)):
            if at is not None:
                site.post(make_passage(camera_id=camera_id, captured_at=at - earlier))
    ahead = NOW + timedelta(days=3)
    site.post(make_passage(camera_id="west-2", captured_at=ahead))
    shown = site.as_role("operator").get("/api/v1/checkpoints").json()
    assert {one["place"]["id"]: one["last_passage_at"] for one in shown} == {
        "kk-west": iso(ahead),
        "kk-centre": iso(NOW - timedelta(days=300)),
        "kk-north": None,
    }
