"""Each package, imported in a fresh interpreter, loads no more than its law allows."""

import json
import subprocess
import sys

import pytest

VISION = {"cv2", "onnxruntime", "paddleocr", "paddlex"}
OF_FEW = {"fpdf", "openpyxl", "osmium", "polars", "pyspark", "xlsxwriter"}
"""What single requests need: a server starts without."""
WEB = {"fastapi", "sqlalchemy", "starlette"}


def _loaded_by(statement: str) -> set[str]:
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import anpr.plate", VISION | WEB | {"numpy", "yaml", "pydantic"}),
        ("import server.wire", VISION | WEB | {"numpy", "anpr", "server.app", "server.tables"}),
        ("import server.app", VISION | {"anpr.reader", "checkpoint_agent"} | OF_FEW),
        ("import checkpoint_agent.agent", WEB | {"paddleocr", "server.app", "server.tables"}),
        ("import anpr.reader", WEB | {"paddleocr", "pydantic", "httpx"}),
    ],
)
def test_a_package_loads_only_what_its_law_allows(statement: str, forbidden: set[str]) -> None:
    assert _loaded_by(statement) & forbidden == set()
