"""Laws of the whole agent in one process, with a fake reader and a real server on the loopback."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import jsonschema
import numpy as np
import pytest

from anpr import InferenceError
from checkpoint_agent.agent import DONE, LEFT_UNDELIVERED, Agent
from checkpoint_agent.config import AgentConfig
from checkpoint_agent.errors import ConfigError
from tests.checkpoint_agent.fakes import (
    ILLEGIBLE,
    NOON,
    FakeReader,
    Signs,
    name_at,
    write_drive,
)

CARS = ["京A12345", "沪B77777", "粤C88D66", "苏D24680"]


@pytest.fixture
def signs() -> Signs:
    return Signs([*CARS, ILLEGIBLE])


@pytest.fixture
def configured(tmp_path, roadside):
    """A configuration whose one camera is the folder ``frames``."""
    (tmp_path / "token").write_text("sesame")

    def make(**changes) -> AgentConfig:
        tables = {
            "agent_id": "agent-1",
            "data_dir": str(tmp_path / "data"),
            "exit_when_done": True,
            "drain_limit_s": 20,
            "server": {
                "url": roadside.url,
                "token_file": str(tmp_path / "token"),
                "live_within_s": 86400,
                "retry_first_s": 0.05,
                "retry_limit_s": 0.2,
            },
            "camera": [{"id": "gate-1", "source": str(tmp_path / "frames")}],
        }
        return AgentConfig.model_validate({**tables, **changes})

    return make


def texts(roadside) -> list[str]:
    return sorted(p["plate"]["text"] for p in roadside.passages.values())


def test_every_car_of_a_folder_arrives_once_with_the_frame_that_was_read(
    configured, roadside, signs, tmp_path
):
    write_drive(tmp_path / "frames", signs, [(car, 60 + 120 * i) for i, car in enumerate(CARS)])
    assert Agent(configured(), reader=FakeReader(signs)).run() == DONE
    assert texts(roadside) == sorted(CARS)
    assert roadside.missing_pictures == []
    for passage in roadside.passages.values():
        assert passage["plate"]["state"] == "read"
        assert passage["direction"] == "approaching"
        scene, plate = passage["evidence"]
        assert (scene["role"], plate["role"]) == ("scene", "plate")
        assert scene["captured_at"] == passage["captured_at"]
        image = cv2.imdecode(
            np.frombuffer(roadside.pictures[scene["sha256"]], np.uint8), cv2.IMREAD_COLOR
        )
        x, y = np.mean(passage["plate_quad_px"], axis=0).astype(int)
        wanted = signs.color_of[passage["plate"]["text"]]
        assert np.abs(image[y, x].astype(int) - wanted).max() < 40, "the evidence is of this car"


def test_a_second_run_finds_nothing_new(configured, roadside, signs, tmp_path):
    write_drive(tmp_path / "frames", signs, [(CARS[0], 100)])
    assert Agent(configured(), reader=FakeReader(signs)).run() == DONE
    reader = FakeReader(signs)
    assert Agent(configured(), reader=reader).run() == DONE
    assert reader.searches == 0
    assert len(roadside.arrivals) == 1


def test_the_same_footage_read_by_another_box_gives_the_same_ids(
    configured, roadside, signs, tmp_path
):
    write_drive(tmp_path / "frames", signs, [(CARS[0], 100), (CARS[1], 300)], gap_s=-0.5)
    for data in ("one", "two"):
        config = configured(data_dir=str(tmp_path / data))
        assert Agent(config, reader=FakeReader(signs)).run() == DONE
    assert len(roadside.arrivals) == len(roadside.passages) == 2


def test_an_unread_plate_is_a_passage_with_its_picture(configured, roadside, signs, tmp_path):
    write_drive(tmp_path / "frames", signs, [(ILLEGIBLE, 100), (CARS[1], 300)])
    Agent(configured(), reader=FakeReader(signs)).run()
    states = {p["plate"]["state"]: p for p in roadside.passages.values()}
    assert set(states) == {"unread", "read"}
    assert states["unread"]["plate"]["text"] == ""
    assert len(states["unread"]["evidence"]) == 2


def test_a_standing_car_is_one_passage(configured, roadside, signs, tmp_path):
    """Two minutes before the lens, hidden for a while in between."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for n in range(0, 120, 1):
        hidden = 40 <= n < 70
        plates = [] if hidden else [(CARS[0], 200, 150, 90)]
        path = folder / name_at(NOON + timedelta(seconds=n))
        cv2.imwrite(str(path), signs.picture(*plates))
    Agent(configured(), reader=FakeReader(signs)).run()
    assert texts(roadside) == [CARS[0]]


def test_a_queue_at_one_place_is_not_one_car(configured, roadside, signs, tmp_path):
    """Each car stops where the one before stood, half a second after it has left."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for n in range(80):
        car = CARS[n // 20]
        path = folder / name_at(NOON + timedelta(seconds=n / 5))
        shown = [(car, 200, 150, 90)] if n % 20 < 18 else []
        cv2.imwrite(str(path), signs.picture(*shown))
    Agent(configured(), reader=FakeReader(signs)).run()
    assert texts(roadside) == sorted(CARS)


def test_two_cars_side_by_side_are_two_passages_of_their_own_pictures(
    configured, roadside, signs, tmp_path
):
    folder = tmp_path / "frames"
    folder.mkdir()
    for n in range(20):
        path = folder / name_at(NOON + timedelta(seconds=n / 10))
        shown = [(CARS[0], 100, 20 + 14 * n, 80), (CARS[1], 400, 20 + 14 * n, 80)]
        cv2.imwrite(str(path), signs.picture(*shown))
    Agent(configured(), reader=FakeReader(signs)).run()
    assert texts(roadside) == sorted(CARS[:2])
    plates = {
        p["plate"]["text"]: roadside.pictures[p["evidence"][1]["sha256"]]
        for p in roadside.passages.values()
    }
    for text, jpeg in plates.items():
        crop = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        middle = crop[crop.shape[0] // 2, crop.shape[1] // 2].astype(int)
        assert np.abs(middle - signs.color_of[text]).max() < 40


def test_stills_are_vehicles_of_their_own(configured, roadside, signs, tmp_path):
    """Pictures without times in their names: one vehicle each, each read once."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for n, car in enumerate(CARS):
        cv2.imwrite(str(folder / f"photo-{n}.png"), signs.picture((car, 200, 150, 90)))
    Agent(configured(), reader=FakeReader(signs)).run()
    assert texts(roadside) == sorted(CARS)
    assert {p["track"]["frames"] for p in roadside.passages.values()} == {1}


def test_two_cameras_share_the_reader(configured, roadside, signs, tmp_path):
    write_drive(tmp_path / "a", signs, [(CARS[0], 100)])
    write_drive(tmp_path / "b", signs, [(CARS[1], 300)])
    cameras = [{"id": name, "source": str(tmp_path / name)} for name in ("a", "b")]
    assert Agent(configured(camera=cameras), reader=FakeReader(signs)).run() == DONE
    seen = {(p["camera_id"], p["plate"]["text"]) for p in roadside.passages.values()}
    assert seen == {("a", CARS[0]), ("b", CARS[1])}


def test_region_and_lanes_are_obeyed(configured, roadside, signs, tmp_path):
    write_drive(tmp_path / "frames", signs, [(CARS[0], 60), (CARS[1], 260), (CARS[2], 500)])
    camera = {
        "id": "gate-1",
        "source": str(tmp_path / "frames"),
        "region": [[0, 0], [0.7, 0], [0.7, 1], [0, 1]],
        "lane": [
            {"number": 1, "outline": [[0, 0], [0.3, 0], [0.3, 1], [0, 1]]},
            {"number": 2, "outline": [[0.3, 0], [0.7, 0], [0.7, 1], [0.3, 1]]},
        ],
    }
    Agent(configured(camera=[camera]), reader=FakeReader(signs)).run()
    seen = {p["plate"]["text"]: p["lane"] for p in roadside.passages.values()}
    assert seen == {CARS[0]: 1, CARS[1]: 2}


def test_a_broken_picture_is_skipped(configured, roadside, signs, tmp_path):
    folder = tmp_path / "frames"
    write_drive(folder, signs, [(CARS[0], 100)])
    names = sorted(folder.iterdir())
    names[5].write_bytes(b"this is no picture")
    names[7].write_bytes(b"")
    assert Agent(configured(), reader=FakeReader(signs)).run() == DONE
    assert texts(roadside) == [CARS[0]]


def test_pictures_that_appear_later_are_read(configured, roadside, signs, tmp_path):
    folder, later = tmp_path / "frames", tmp_path / "later"
    folder.mkdir()
    write_drive(later, signs, [(CARS[0], 100), (CARS[1], 300)])
    camera = {"id": "gate-1", "source": str(folder), "follow": True}
    agent = Agent(configured(camera=[camera], idle_exit_s=1.0), reader=FakeReader(signs))
    codes = []
    thread = threading.Thread(target=lambda: codes.append(agent.run()))
    thread.start()
    for path in sorted(later.iterdir()):
        path.rename(folder / path.name)
        time.sleep(0.01)
    thread.join(60)
    assert codes == [DONE]
    assert texts(roadside) == sorted(CARS[:2])


def test_a_failing_model_stops_the_agent(configured, roadside, signs, tmp_path):
    """A broken reader is not an empty road."""
    write_drive(tmp_path / "frames", signs, [(CARS[0], 100), (CARS[1], 300)])
    with pytest.raises(InferenceError):
        Agent(configured(), reader=FakeReader(signs, fail_at=30)).run()
    # What was seen before is safe, and what comes after is read when the reader is well again.
    assert Agent(configured(), reader=FakeReader(signs)).run() == DONE
    assert texts(roadside) == sorted(CARS[:2])


def test_an_absent_server_leaves_everything_in_the_outbox_and_says_so(
    configured, signs, tmp_path, caplog
):
    write_drive(tmp_path / "frames", signs, [(CARS[0], 100)])
    server = {"url": "http://127.0.0.1:9", "token_file": str(tmp_path / "token")}
    config = configured(server=server, drain_limit_s=0.5)
    assert Agent(config, reader=FakeReader(signs)).run() == LEFT_UNDELIVERED
    assert "left in the outbox" in caplog.text


def test_after_an_outage_everything_is_delivered_once(configured, roadside, signs, tmp_path):
    write_drive(tmp_path / "frames", signs, [(car, 60 + 120 * i) for i, car in enumerate(CARS)])
    token = {"token_file": str(tmp_path / "token")}
    away = configured(server={"url": "http://127.0.0.1:9", **token}, drain_limit_s=0.2)
    assert Agent(away, reader=FakeReader(signs)).run() == LEFT_UNDELIVERED
    assert Agent(configured(), reader=FakeReader(signs)).run() == DONE
    assert texts(roadside) == sorted(CARS)
    assert len(roadside.arrivals) == len(CARS)


def test_a_missing_recording_names_the_key(configured, tmp_path, signs):
    with pytest.raises(ConfigError, match=r"camera\[0\]\.source: .*frames"):
        Agent(configured(), reader=FakeReader(signs)).run()


def test_two_agents_do_not_share_a_data_folder(configured, signs, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    camera = {"id": "gate-1", "source": str(folder), "follow": True}
    first = Agent(configured(camera=[camera], exit_when_done=False), reader=FakeReader(signs))
    thread = threading.Thread(target=first.run)
    thread.start()
    try:
        lock = tmp_path / "data" / "agent.lock"
        while not lock.exists():
            time.sleep(0.01)
        time.sleep(0.1)
        with pytest.raises(ConfigError, match="another agent"):
            Agent(configured(camera=[camera]), reader=FakeReader(signs)).run()
    finally:
        first.stop()
        thread.join(30)
    assert not thread.is_alive()


def test_stopping_amid_a_car_neither_loses_nor_repeats_it(configured, roadside, signs, tmp_path):
    write_drive(tmp_path / "frames", signs, [(car, 60 + 120 * i) for i, car in enumerate(CARS)])

    class Stopping(FakeReader):
        agent: Agent

        def detect(self, image):
            if self.searches == 25:
                self.agent.stop()
            return super().detect(image)

    for _ in range(12):
        reader = Stopping(signs)
        reader.agent = Agent(configured(), reader=reader)
        assert reader.agent.run() == DONE
    assert texts(roadside) == sorted(CARS)
    assert len(roadside.arrivals) == len(CARS)


def test_the_committed_wire_schemas_accept_what_the_agent_sends(
    configured, roadside, signs, tmp_path, project
):
    """Checked against the schema files, not against the classes."""

    def schema(name: str) -> dict:
        path = project / "docs" / "wire" / f"{name}.v1.schema.json"
        return json.loads(path.read_text(encoding="utf-8"))

    write_drive(tmp_path / "frames", signs, [(CARS[0], 100), (ILLEGIBLE, 300)])
    Agent(configured(), reader=FakeReader(signs)).run()
    assert len(roadside.passages) == 2
    for batch in roadside.batches:
        jsonschema.validate(batch, schema("passage_batch"))
    for heartbeat in roadside.heartbeats:
        jsonschema.validate(heartbeat, schema("heartbeat"))
    assert roadside.heartbeats


def test_a_live_camera_gives_passages_until_the_agent_is_stopped(
    configured, roadside, signs, tmp_path
):
    """A camera that answers with snapshots; its car is still in view when the agent is stopped."""
    shown = {"car": CARS[0]}

    class Camera(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            picture = (
                signs.picture((shown["car"], 200, 150, 90)) if shown["car"] else signs.picture()
            )
            body = cv2.imencode(".png", picture)[1].tobytes()
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/snapshot"
    camera = {"id": "gate-1", "source": address, "snapshot_interval_s": 0.1}
    reader = FakeReader(signs)
    agent = Agent(configured(camera=[camera], exit_when_done=False), reader=reader)
    codes = []
    running = threading.Thread(target=lambda: codes.append(agent.run()))
    running.start()
    try:
        until(lambda: reader.reads >= 3)
        shown["car"] = None
        until(lambda: len(roadside.arrivals) == 1)
        shown["car"] = CARS[1]
        seen = reader.reads
        until(lambda: reader.reads >= seen + 3)
    finally:
        agent.stop()
        running.join(30)
        server.shutdown()
        thread.join()
        server.server_close()
    assert codes == [DONE]
    assert texts(roadside) == sorted(CARS[:2])
    for passage in roadside.passages.values():
        age = datetime.now(UTC) - datetime.fromisoformat(passage["captured_at"])
        assert abs(age) < timedelta(minutes=2)


def until(done: Callable[[], bool], limit_s: float = 60) -> None:
    """Wait for something to become true."""
    ends = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)
