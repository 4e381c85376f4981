"""The doors of the packages: what they show is pinned, and what they show exists."""

import importlib
from pathlib import Path

import anpr
import checkpoint_agent
import server
import server.wire


def test_anpr_shows_exactly_these_names() -> None:
    assert sorted(anpr.__all__) == [
        "AnprError",
        "Box",
        "Character",
        "Detection",
        "ImageError",
        "InferenceError",
        "PlateRead",
        "PlateReader",
        "Quad",
        "WeightsError",
        "load_reader",
    ]


def test_every_public_name_resolves() -> None:
    for package in (anpr, server.wire, importlib.import_module("anpr.plate")):
        for name in package.__all__:
            assert getattr(package, name) is not None, (package.__name__, name)


def test_the_doors_of_agent_and_server_hold_only_a_docstring() -> None:
    """Whoever imports the wire contract runs server/__init__; it must cost nothing."""
    for package in (server, checkpoint_agent):
        source = Path(str(package.__file__)).read_text(encoding="utf-8")
        assert source.strip() == f'"""{package.__doc__}"""'
