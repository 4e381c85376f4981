"""What an installer gets: a unit that systemd understands and that locks the agent in."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from checkpoint_agent.__main__ import MISCONFIGURED
from checkpoint_agent.config_file import load_config


@pytest.fixture
def unit(project: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(project / "packaging" / "agent" / "kakou-agent.service", encoding="utf-8")
    return parser


def test_the_unit_waits_for_ready_watches_and_never_restarts_a_wrong_configuration(unit):
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 60
    assert int(service["RestartPreventExitStatus"]) == MISCONFIGURED
    assert int(service["TimeoutStopSec"]) > 10, "longer than a clean stop takes"
    assert int(unit["Unit"]["StartLimitBurst"]) > 0


def test_the_unit_keeps_its_data_where_the_example_says(unit, project):
    config = load_config(project / "config" / "agent.example.toml")
    assert config.data_dir == Path("/var/lib") / unit["Service"]["StateDirectory"]


def test_systemd_finds_the_service_locked_in(project):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    path = project / "packaging" / "agent" / "kakou-agent.service"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level .*: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= 3.0


def test_the_installer_is_sound_shell_and_says_what_it_does(project):
    script = project / "packaging" / "agent" / "install.sh"
    subprocess.run(["sh", "-n", str(script)], check=True)
    said = subprocess.run([str(script), "--help"], capture_output=True, text=True, check=True)
    assert "离线安装" in said.stdout
    wrong = subprocess.run([str(script), "--wat"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
