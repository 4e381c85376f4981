"""The vehicle register: two implementations of one interface, forged plates, owners accounted for."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from server.analyses.of_place import unlike
from server.errors import SettingsError, Unavailable
from server.settings_analyses import VehicleSettings
from server.vehicles.register import CsvRegister, HttpRegister, VehicleRegister, connected
from tests.server.analyses.test_answers import DAY, FRIEND, ME, STRANGER, found, no_upkeep, sent
from tests.server.analyses.test_pure import seen
from tests.server.conftest import NOW, PURPOSE, Site, SteppingClock, serving

__all__ = ["no_upkeep"]
REGISTERED = (
    {"plate": ME, "plate_kind": "small", "vehicle_color": "white", "owner": "张三", "make": "甲"},
    {"plate": FRIEND, "plate_kind": "small", "vehicle_color": "black", "owner": "李四", "make": ""},
)


def write(path: Path, rows: Any = REGISTERED) -> None:
    names = list(REGISTERED[0])
    lines = [",".join(names), *(",".join(row[name] for name in names) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def service() -> Iterator[str]:
    """A register that answers over HTTP to whoever has the token."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            plate = unquote(self.path.rpartition("/")[2])
            rows = [row for row in REGISTERED if row["plate"] == plate]
            status = 200 if rows else 404
            if self.headers.get("Authorization") != "Bearer secret":
                status = 401
            body = json.dumps(rows).encode() if status == 200 else b""
            if plate == "鲁H00000":
                status, body = 200, b'{"not": "a list"}'
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/vehicles/{{plate}}"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture(params=["csv", "http"])
def register(request: pytest.FixtureRequest, tmp_path: Path, service: str) -> VehicleRegister:
    if request.param == "http":
        return HttpRegister(service, "secret")
    write(tmp_path / "register.csv")
    return CsvRegister(tmp_path / "register.csv")


def test_both_give_the_registrations_of_a_plate(register: VehicleRegister) -> None:
    (one,) = register.find(ME)
    assert (one.plate, one.plate_kind, one.vehicle_color, one.owner, one.make) == (
        ME, "small", "white", "张三", "甲",
    )  # fmt: skip
    assert register.find("鲁H99999") == ()


def test_a_register_that_does_not_answer_is_said_to_be_away(service: str, tmp_path: Path) -> None:
    """Never that a plate is not registered."""
    for broken in (HttpRegister(service, "wrong"), CsvRegister(tmp_path / "missing.csv"),
                   HttpRegister("http://127.0.0.1:9/{plate}", timeout_s=0.5)):  # fmt: skip
        with pytest.raises(Unavailable):
            broken.find(ME)
    with pytest.raises(Unavailable):
        HttpRegister(service, "secret").find("鲁H00000")


def test_an_export_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "register.csv"
    write(path)
    register = CsvRegister(path)
    assert register.find(STRANGER) == ()
    write(path, [*REGISTERED, REGISTERED[0] | {"plate": STRANGER}])
    assert len(register.find(STRANGER)) == 1
    path.write_text("number\n鲁H1\n", encoding="utf-8")
    with pytest.raises(Unavailable):
        register.find(ME)


@pytest.mark.parametrize(
    "values",
    [
        {"url": "http://127.0.0.1/no-place"},
        {"url": "ftp://127.0.0.1/{plate}"},
        {"url": "http://127.0.0.1/{plate}", "csv_file": "x.csv"},
        {"url": "http://127.0.0.1/{plate}", "token_file": "/nowhere/token"},
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(values: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        connected(VehicleSettings(**values))
    assert connected(VehicleSettings()) is None


@pytest.mark.parametrize(
    ("registered", "why"),
    [
        ([], "unregistered"),
        ([("small", "white")], ""),
        ([("small", "black")], "color"),
        ([("large", "white")], "kind"),
        ([("large", "white"), ("small", "white")], ""),
        ([("unknown", "unknown")], ""),
    ],
)
def test_a_vehicle_agrees_with_any_of_its_registrations(registered, why: str) -> None:
    assert unlike(seen("鲁H10001", 0, 0, "white"), registered) == why


@pytest.fixture
def with_register(sqlite_settings: Any, clock: SteppingClock, tmp_path: Path) -> Iterator[Site]:
    write(tmp_path / "register.csv")
    settings = sqlite_settings.model_copy(
        update={"vehicles": VehicleSettings(csv_file=tmp_path / "register.csv")}
    )
    with serving(settings, clock) as site:
        yield site


def test_forged_plates_are_those_that_do_not_look_as_registered(with_register: Site) -> None:
    for plate in (ME, FRIEND, STRANGER):
        sent(with_register, *((plate, "kk-west", NOW - n * timedelta(hours=2)) for n in (1, 2, 3)))
    officer = with_register.as_role("officer")
    findings = found(officer, "counterfeit", since=(NOW - DAY).isoformat())
    assert {f["plate"]: f["reasons"][0]["code"] for f in findings} == {
        FRIEND: "register_color",
        STRANGER: "register_unregistered",
    }
    assert found(officer, "counterfeit", plate=ME) == []


def test_whoever_asks_for_an_owner_is_on_the_log(with_register: Site) -> None:
    officer = with_register.as_role("officer")
    answer = officer.post("/api/v1/vehicles", {"plate": ME.lower(), **PURPOSE})
    assert [v["owner"] for v in answer.json()["vehicles"]] == ["张三"]
    log = with_register.as_role("administrator").get("/api/v1/audit").json()
    asked = next(r for r in log if r["action"] == "vehicle.lookup")
    assert (asked["detail"]["plate"], asked["case_number"]) == (ME, PURPOSE["case_number"])
    assert officer.post("/api/v1/vehicles", {"plate": ME}).status_code == 422
    custodian = with_register.as_role("custodian")
    custodian.post("/api/v1/protected-plates", {"plate": ME, "authority": "省厅1号"})
    assert officer.post("/api/v1/vehicles", {"plate": ME, **PURPOSE}).json() == {"vehicles": []}


def test_without_a_register_the_question_is_refused(sqlite_site: Site) -> None:
    answer = sqlite_site.as_role("officer").post("/api/v1/vehicles", {"plate": ME, **PURPOSE})
    assert (answer.status_code, answer.json()["field"]) == (422, "register")
