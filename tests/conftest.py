"""What all tests share: repeatable hypothesis runs and the place of the real imagery.

The network is off but for the loopback (see pyproject.toml); nothing domain-specific lives here.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the project."""
    return PROJECT


@pytest.fixture(scope="session")
def imagery() -> Path:
    """The folder of real plate imagery; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("KAKOU_IMAGERY", PROJECT.parent / "shared" / "data"))
    if not (folder / "dev" / "scenes.jsonl").is_file():
        pytest.skip(
            f"real plate imagery not found in {folder} (set KAKOU_IMAGERY to its folder); "
            "it is never part of the project"
        )
    return folder
