"""Laws of the uploader: pictures first, and only an explicit receipt lets a passage go."""

import hashlib
import json
import threading
import time
from datetime import timedelta

import httpx
import pytest

from checkpoint_agent.clock import Clock
from checkpoint_agent.config_upkeep import ServerConfig
from checkpoint_agent.errors import AccessRefused, ConfigError, ServerUnavailable
from checkpoint_agent.outbox_values import Entry, Picture
from checkpoint_agent.uploader import Uploader
from server.wire import Heartbeat, PassageBatch
from tests.checkpoint_agent.fakes import MODELS, NOON, make_passage


def picture(content: bytes) -> Picture:
    return Picture(hashlib.sha256(content).hexdigest(), content)


def entry(number: int, *pictures: Picture, at=NOON) -> Entry:
    return Entry(make_passage(number, at=at, pictures=[p.sha256 for p in pictures]), pictures)


def name_of(number: int, at=NOON) -> str:
    return str(make_passage(number, at=at).passage_id)


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "token").write_text("sesame\n")

    def make(url="http://server.test", **changes) -> ServerConfig:
        return ServerConfig(url=url, token_file=tmp_path / "token", **changes)

    return make


@pytest.fixture
def sender(outbox, clock, settings):
    """An uploader to a server played by a function of the request."""

    def make(answer, **changes) -> Uploader:
        transport = httpx.MockTransport(answer)
        return Uploader(outbox, settings(**changes), "agent-1", clock, transport=transport)

    return make


def receipt(request: httpx.Request, outcome="accepted", **result) -> httpx.Response:
    """The same outcome for every passage of the request."""
    items = json.loads(request.content)["passages"]
    results = [{"passage_id": i["passage_id"], "outcome": outcome, **result} for i in items]
    return httpx.Response(200, json={"results": results, "received_at": NOON.isoformat()})


def test_pictures_travel_before_the_passage_that_names_them(outbox, sender):
    requests = []

    def answer(request):
        requests.append(request)
        return httpx.Response(201) if request.method == "PUT" else receipt(request)

    scene, plate = picture(b"scene"), picture(b"plate")
    outbox.put([entry(1, scene, plate)])
    assert sender(answer).send_next() is True
    assert [(r.method, r.url.path) for r in requests] == [
        ("PUT", f"/api/v1/evidence/{scene.sha256}"),
        ("PUT", f"/api/v1/evidence/{plate.sha256}"),
        ("POST", "/api/v1/passages"),
    ]
    assert requests[0].content == b"scene"
    assert {r.headers["Authorization"] for r in requests} == {"Bearer sesame"}
    batch = PassageBatch.model_validate_json(requests[-1].content)
    assert (batch.agent_id, batch.delivery) == ("agent-1", "live")
    assert outbox.state().queued == outbox.state().pictures == 0


def test_old_passages_are_marked_backlog_and_go_last(outbox, sender, clock):
    deliveries = []

    def answer(request):
        deliveries.append(json.loads(request.content)["delivery"])
        return receipt(request)

    outbox.put([entry(1, at=NOON - timedelta(days=1)), entry(2)])
    uploader = sender(answer)
    assert [uploader.send_next() for _ in range(3)] == [True, True, False]
    assert deliveries == ["live", "backlog"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (502, b"<html>bad gateway</html>"),
        (404, b""),
        (301, b""),
        (200, b""),
        (200, b"<html>hotel wifi: accept the terms</html>"),
        (200, b'{"results": 7}'),
        (200, b'{"accepted": 1}'),
        (204, b""),
    ],
)
def test_any_answer_but_a_receipt_keeps_everything(outbox, sender, status, body):
    outbox.put([entry(1)])
    with pytest.raises(ServerUnavailable):
        sender(lambda _: httpx.Response(status, content=body)).send_next()
    assert outbox.state().queued == 1


def test_a_broken_connection_keeps_everything(outbox, sender):
    def answer(request):
        raise httpx.ConnectError("no route to host")

    outbox.put([entry(1)])
    with pytest.raises(ServerUnavailable, match="no route to host"):
        sender(answer).send_next()
    assert outbox.state().queued == 1


def test_what_the_receipt_does_not_mention_or_contradicts_is_kept(outbox, sender):
    def answer(request):
        one, two, three, four, _ = (
            item["passage_id"] for item in json.loads(request.content)["passages"]
        )
        results = [
            {"passage_id": one, "outcome": "accepted"},
            {"passage_id": two.upper(), "outcome": "duplicate"},
            {"passage_id": three, "outcome": "rejected", "reason": "camera_id: unknown"},
            {"passage_id": four, "outcome": "accepted"},
            {"passage_id": four, "outcome": "rejected"},
            {"passage_id": "not-ours", "outcome": "accepted"},
        ]
        return httpx.Response(200, json={"results": results, "received_at": NOON.isoformat()})

    times = [NOON + timedelta(seconds=n) for n in range(5)]
    outbox.put([entry(n, at=at) for n, at in enumerate(times)])
    sender(answer).send_next()
    state = outbox.state()
    assert (state.queued, state.dead) == (2, 1)
    left = outbox.next_batch(9, live_since=NOON - timedelta(hours=1))
    assert [str(p.passage_id) for p in left.passages] == [name_of(n, times[n]) for n in (3, 4)]


def test_an_outcome_that_this_agent_does_not_know_keeps_the_batch(outbox, sender):
    outbox.put([entry(1)])
    with pytest.raises(ServerUnavailable):
        sender(lambda request: receipt(request, "postponed")).send_next()
    assert outbox.state().queued == 1


def test_a_kept_passage_is_put_off_and_holds_up_nothing(outbox, sender, clock):
    outbox.put([entry(1), entry(2, at=NOON + timedelta(seconds=1))])
    stubborn = name_of(1)

    def answer(request):
        response = receipt(request)
        body = response.json()
        body["results"] = [r for r in body["results"] if r["passage_id"] != stubborn]
        return httpx.Response(200, json=body)

    uploader = sender(answer, retry_first_s=2)
    assert uploader.send_next() is True
    assert uploader.send_next() is False
    assert outbox.state().queued == 1
    clock.pass_s(2.1)
    assert uploader.send_next() is True


def test_a_passage_that_spoils_its_batch_is_found_and_passed_by(outbox, sender):
    """A server that fails on one passage still gets all others."""
    poison = name_of(5, NOON + timedelta(seconds=5))

    def answer(request):
        names = [item["passage_id"] for item in json.loads(request.content)["passages"]]
        return httpx.Response(500) if poison in names else receipt(request)

    outbox.put([entry(n, at=NOON + timedelta(seconds=n)) for n in range(12)])
    uploader = sender(answer, batch_passages=8)
    for _ in range(30):
        try:
            if not uploader.send_next():
                break
        except ServerUnavailable:
            continue
    assert outbox.state().queued == 1
    assert str(outbox.next_batch(9, live_since=NOON).passages[0].passage_id) == poison


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_batch_is_halved_and_never_dropped(outbox, sender, status):
    sizes = []

    def answer(request):
        sizes.append(len(json.loads(request.content)["passages"]))
        return receipt(request) if sizes[-1] <= 2 else httpx.Response(status)

    outbox.put([entry(n, at=NOON + timedelta(seconds=n)) for n in range(8)])
    uploader = sender(answer, batch_passages=8)
    for _ in range(20):
        uploader.send_next()
    assert sizes[:3] == [8, 4, 2]
    assert outbox.state().queued == 0


def test_a_picture_that_the_server_finds_unfit_is_given_up_after_a_while(outbox, sender, clock):
    bad, good = picture(b"bad"), picture(b"good")

    def answer(request):
        if request.method == "PUT":
            return httpx.Response(415 if request.content == b"bad" else 201)
        return receipt(request)

    outbox.put([entry(1, bad, good), entry(2, good)])
    uploader = sender(answer)
    uploader.send_next()
    assert outbox.state().queued == 1, "the other passage went"
    for _ in range(6):
        clock.pass_s(3600)
        uploader.send_next()
    state = outbox.state()
    assert (state.queued, state.counters["pictures_given_up"]) == (0, 1)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_said_and_everything_is_kept(outbox, sender, status):
    outbox.put([entry(1)])
    with pytest.raises(AccessRefused, match="token"):
        sender(lambda _: httpx.Response(status)).send_next()
    assert outbox.state().queued == 1


def test_a_new_token_is_used_without_a_restart(outbox, sender, tmp_path):
    seen = []

    def answer(request):
        seen.append(request.headers["Authorization"])
        return receipt(request) if "new" in seen[-1] else httpx.Response(401)

    outbox.put([entry(1)])
    uploader = sender(answer)
    with pytest.raises(AccessRefused):
        uploader.send_next()
    (tmp_path / "token").write_text("new")
    assert uploader.send_next() is True
    assert seen == ["Bearer sesame", "Bearer new"]


@pytest.mark.parametrize("content", ["", "two words", "line\nline"])
def test_a_token_file_without_a_token_is_said(outbox, sender, tmp_path, content):
    (tmp_path / "token").write_text(content)
    outbox.put([entry(1)])
    with pytest.raises(AccessRefused, match="token"):
        sender(receipt).send_next()


@pytest.mark.parametrize(
    ("header", "wanted"), [("7", 7.0), ("soon", None), ("-1", None), ("99999", None)]
)
def test_retry_after_is_respected_if_it_makes_sense(outbox, sender, header, wanted):
    outbox.put([entry(1)])
    uploader = sender(lambda _: httpx.Response(503, headers={"Retry-After": header}))
    with pytest.raises(ServerUnavailable) as caught:
        uploader.send_next()
    assert caught.value.retry_after_s == wanted


def test_an_unusable_certificate_names_the_key(outbox, settings, clock, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"server\.ca_file"):
        Uploader(outbox, settings(ca_file=tmp_path / "ca.pem"), "agent-1", clock)


def test_an_endless_answer_is_cut_off(outbox, sender):
    class Endless(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                yield b" " * 100_000

    outbox.put([entry(1)])
    with pytest.raises(ServerUnavailable, match="does not end"):
        sender(lambda _: httpx.Response(200, stream=Endless())).send_next()
    assert outbox.state().queued == 1


FAULTS = ["500", "garbage", "half", "nothing", "cut", "lost", "401", "413", "half", "lost", "500"]


def test_against_a_server_that_misbehaves_everything_arrives_once(outbox, roadside, settings):
    """A real server on the loopback: 500, garbage, half receipts, cut and lost answers."""
    entries = [entry(n, picture(b"%d" % n), at=NOON + timedelta(seconds=n % 7)) for n in range(40)]
    outbox.put(entries)
    roadside.faults = list(FAULTS)
    config = settings(
        roadside.url, batch_passages=7, retry_first_s=0.05, retry_limit_s=0.05, heartbeat_s=1
    )
    beat = Heartbeat(
        agent_id="agent-1",
        sent_at=NOON,
        version="0",
        models=MODELS,
        started_at=NOON,
        queue_passages=0,
        dead_letters=0,
    )
    uploader = Uploader(outbox, config, "agent-1", Clock(), heartbeat=lambda: beat)
    thread = threading.Thread(target=uploader.run)
    thread.start()
    ends = time.monotonic() + 60
    while outbox.state().queued and time.monotonic() < ends:
        time.sleep(0.02)
    uploader.stop()
    thread.join(10)
    assert not thread.is_alive()
    uploader.close()
    assert roadside.faults == [], "every fault was met"
    assert sorted(roadside.arrivals) == sorted(str(e.passage.passage_id) for e in entries)
    assert roadside.missing_pictures == []
    assert len(roadside.pictures) == 40
    assert roadside.heartbeats
    assert uploader.fault is None
    counters = outbox.state().counters
    assert counters["accepted"] + counters["duplicate"] == 40
    assert counters["duplicate"] > 0, "lost answers were met"


def test_rejected_passages_are_set_aside_by_a_real_server(outbox, roadside, settings):
    outbox.put([entry(1), entry(2)])
    roadside.rejects[name_of(1)] = "camera_id: unknown camera"
    uploader = Uploader(outbox, settings(roadside.url), "agent-1", Clock())
    uploader.send_next()
    uploader.close()
    assert [d.reason for d in outbox.dead_letters()] == ["camera_id: unknown camera"]
    assert outbox.state().queued == 0
