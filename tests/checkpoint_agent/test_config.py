"""Laws of the configuration: what is wrong is said with file and key, and the example is true."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from checkpoint_agent.config import AgentConfig, CameraConfig
from checkpoint_agent.config_base import Section
from checkpoint_agent.config_file import load_config
from checkpoint_agent.errors import ConfigError

GOOD = """
agent_id = "box"
data_dir = "data"
[server]
url = "https://kakou.test"
token_file = "token"
[[camera]]
id = "gate-1"
source = "frames"
"""


def load(tmp_path: Path, text: str) -> AgentConfig:
    path = tmp_path / "agent.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def test_a_short_configuration_is_enough_and_paths_start_beside_it(tmp_path):
    config = load(tmp_path, GOOD)
    assert config.data_dir == tmp_path / "data"
    assert config.server.token_file == tmp_path / "token"
    assert config.camera[0].source == str(tmp_path / "frames")
    assert not config.camera[0].live


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('source = "frames"', 'sorce = "frames"', r"camera\[0\]\.sorce: unknown key; did you mean 'source'"),
        ('source = "frames"', "", r"camera\[0\]\.source: missing"),
        ('url = "https://kakou.test"', 'url = "kakou.test"', r"server\.url: "),
        ("[[camera]]", "[[camera]]\nspeed = 0", r"camera\[0\]\.speed: .*greater"),
        ("[[camera]]", '[[camera]]\npace = "real"', r"camera\[0\]\.pace: .*'recorded'"),
        ("[[camera]]", "[[camera]]\nlost_after_ms = 5", r"camera\[0\]\.lost_after_ms: unknown key; did you mean 'lost_after_s'"),
        ("[[camera]]", "[[camera]]\nlost_after_s = 5000", r"camera\[0\]\.lost_after_s: .*600.*'5000'"),
        ("[[camera]]", "[[camera]]\nstarted_at = 2026-11-22T10:00:00", r"camera\[0\]\.started_at: .*timezone"),
        ("[[camera]]", "[[camera]]\nregion = [[0, 0], [1, 1], [1, 0], [0, 1]]", r"camera\[0\]\.region: .*crosses itself"),
        ("[[camera]]", "[[camera]]\nregion = [[0, 0], [640, 0], [640, 480]]", r"camera\[0\]\.region\[1\]\[0\]: .*'640"),
        ("[[camera]]", '[[camera]]\nstarted_at = "now"\nspeed = 2', r"camera\[0\]: speed"),
        ('id = "gate-1"', 'id = "gate 1"', r"camera\[0\]\.id: "),
        ('source = "frames"', 'source = "ftp://u:secret@cam/x"', r"camera\[0\]\.source: .*rtsp://"),
        ("[server]", "[passage]\nsure_reads = 0\n[server]", r"passage\.sure_reads: "),
        ("[server]", "[serverr]\n[server]", r"serverr: unknown key; did you mean 'server'"),
        ("[server]", '[reader]\nrecogniser = "tesseract"\n[server]', r"reader\.recogniser: .*'paddleocr'"),
        ("agent_id", 'exit_when_done = "maybe"\nagent_id', r"exit_when_done: "),
        ("[[camera]]", "[[camera]", r"no valid TOML.*line"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_key(tmp_path, before, after, said):
    text = GOOD.replace(before, after, 1)
    assert text != GOOD
    with pytest.raises(ConfigError, match=said) as caught:
        load(tmp_path, text)
    assert all(
        line.startswith(f"{tmp_path}/agent.toml: ") for line in str(caught.value).split("\n")
    )
    assert "secret" not in str(caught.value)


def test_every_fault_is_said_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace("gate-1", "gate 1").replace("https://", ""))
    assert len(str(caught.value).split("\n")) == 2


def test_some_credential_is_needed(tmp_path):
    with pytest.raises(ConfigError, match="server: token_file is missing; or client_cert_file"):
        load(tmp_path, GOOD.replace('token_file = "token"', ""))
    certified = GOOD.replace('token_file = "token"', 'client_cert_file = "box.pem"')
    assert load(tmp_path, certified).server.client_cert_file == tmp_path / "box.pem"


@pytest.mark.parametrize("listen", ["0.0.0.0:9108", "10.0.0.7:9108", "kakou.example:80", "9108"])
def test_the_health_page_is_for_this_box_alone(tmp_path, listen):
    with pytest.raises(ConfigError, match=r"health\.listen: wrong form"):
        load(tmp_path, GOOD + f'[health]\nlisten = "{listen}"\n')


def test_two_cameras_need_two_names(tmp_path):
    with pytest.raises(ConfigError, match="two cameras have the same id"):
        load(tmp_path, GOOD + '[[camera]]\nid = "gate-1"\nsource = "b"\n')


def test_a_live_camera_is_never_done(tmp_path):
    text = "exit_when_done = true\n" + GOOD.replace('"frames"', '"rtsp://cam/1"')
    with pytest.raises(ConfigError, match="live camera is never done"):
        load(tmp_path, text)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_an_unreadable_file_is_said(tmp_path, content):
    path = tmp_path / "agent.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"agent\.toml: cannot be read"):
        load_config(path)


@pytest.mark.parametrize(
    ("source", "live"),
    [("rtsp://cam/1", True), ("http://cam/x.jpg", True), ("0", True), ("video.mp4", False)],
)
def test_what_is_live(source, live):
    assert CameraConfig(id="c", source=source).live is live


def tables(section: type[Section], prefix: str = "") -> dict[str, type[Section]]:
    """Every table of the configuration by its name."""
    found = {prefix: section}
    for key, field in section.model_fields.items():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, Section):
                found |= tables(part, f"{prefix}.{key}".strip("."))
    return found


def test_every_field_has_a_description_and_every_number_has_bounds():
    for name, section in tables(AgentConfig).items():
        for key, field in section.model_fields.items():
            where = f"{name}.{key}"
            is_table = f"{name}.{key}".strip(".") in tables(AgentConfig)
            assert is_table or field.description, where
            if field.annotation in {int, float}:
                bounds = {type(item).__name__ for item in field.metadata}
                assert {"Ge", "Le"} <= bounds, where


def test_the_example_loads_explains_every_field_and_equals_the_defaults(project):
    path = project / "config" / "agent.example.toml"
    text = path.read_text(encoding="utf-8")
    config = load_config(path)
    # Everything that is set is the default, everything that has no default is marked.
    set_tables = {"": tomllib.loads(text)}
    set_tables |= {name: table for name, table in set_tables[""].items() if isinstance(table, dict)}
    set_tables["camera"] = set_tables[""]["camera"][0]
    for name, section in tables(AgentConfig).items():
        if name in {"camera.lane", "camera.calibration"}:
            continue
        for key, field in section.model_fields.items():
            if f"{name}.{key}".strip(".") in tables(AgentConfig):
                continue
            line = re.search(rf"^(?P<comment># )?{key} = ", text, re.MULTILINE)
            assert line, f"{name}.{key} is not explained"
            if field.is_required():
                assert re.search(rf"# REQUIRED\.[^\n]*\n(# [^\n]*\n)*{key} = ", text), key
            elif field.default is None:
                assert line["comment"] or key == "token_file", f"{name}.{key} has no default"
            elif isinstance(field.default, tuple) and not line["comment"]:
                assert tuple(set_tables[name][key]) == field.default, f"{name}.{key}"
            else:
                assert set_tables[name][key] == field.default, f"{name}.{key}"
    assert config.camera[0].live


def test_what_is_commented_out_in_the_example_is_valid_too(project, tmp_path):
    text = (project / "config" / "agent.example.toml").read_text(encoding="utf-8")
    opened = re.sub(r"^# (?:# )?(\[\[?camera|[a-z_]+ = )", r"\1", text, flags=re.MULTILINE)
    config = load(tmp_path, opened)
    assert config.camera[0].region is not None
    assert config.camera[0].lane[0].number == 1
    assert config.camera[0].trip_line is not None
    assert config.camera[0].calibration is not None
    assert config.server.ca_file is not None
