"""Spark gives the answers that polars gives; a local cluster of two threads stands for a large one."""

import random
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from server.analyses import mining, mining_spark
from server.analyses.companions import CompanionRules
from server.analyses.runner import JobRunner
from server.analyses.worker import Work
from tests.server.analyses.test_answers import FRIEND, ME, STRANGER, drive, no_upkeep, sent
from tests.server.analyses.test_jobs import opened
from tests.server.analyses.test_jobs import start as start_job
from tests.server.conftest import Site

__all__ = ["no_upkeep"]
pytestmark = [
    pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is missing: make spark"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(shutil.which("java") is None, reason="Java is missing: apt install default-jre-headless"),
]  # fmt: skip
BEGIN = datetime(2025, 6, 2, tzinfo=UTC)


FEW = (
    ("spark.sql.shuffle.partitions", "2"),
    ("spark.sql.adaptive.enabled", "false"),
    ("spark.sql.codegen.wholeStage", "false"),
    ("spark.sql.codegen.factoryMode", "NO_CODEGEN"),
    ("spark.driver.host", "127.0.0.1"),
    ("spark.driver.bindAddress", "127.0.0.1"),
    ("spark.ui.showConsoleProgress", "false"),
)
"""For a handful of rows: two hundred parts of them, each compiled anew, take a minute."""


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """A session that uses little of the machine."""
    with mining_spark.spark_session("local[2]", FEW) as session:
        yield session


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small day: a convoy of two, a queue at one checkpoint, repeats, and everybody else."""
    draw = random.Random(11)
    rows: list[tuple[str, str, float]] = []
    for number in range(120):
        t = draw.uniform(0, 80_000)
        for place in draw.sample(range(12), draw.randint(1, 8)):
            t += draw.uniform(40, 400)
            rows.append((f"鲁H{number:05}", f"k{place:02}", t))
            if draw.random() < 0.1:
                rows.append((f"鲁H{number:05}", f"k{place:02}", t + draw.uniform(0, 29)))
    for start in (9_000.0, 40_000.0):
        for step, place in enumerate(("k01", "k05", "k09", "k03")):
            rows.append(("鲁HAAAA1", place, start + 300 * step))
            rows.append(("鲁HAAAA2", place, start + 300 * step + 7.5))
    for number in range(30):  # some meet again and again, more or less closely
        start, gap = draw.uniform(0, 60_000), draw.uniform(1, 59)
        for step, place in enumerate(draw.sample(range(12), 5)):
            rows.append((f"鲁HB{number:04}", f"k{place:02}", start + 900 * step))
            rows.append((f"鲁HC{number:04}", f"k{place:02}", start + 900 * step + gap))
            if number % 3 == 0:
                rows.append((f"鲁HB{number:04}", f"k{place:02}", start + 7_000 + 200 * step))
                rows.append((f"鲁HC{number:04}", f"k{place:02}", start + 6_990 + 200 * step))
    rows += [(f"鲁HQ{n:04}", "k05", 9_280.0 + n) for n in range(40)]
    path = tmp_path_factory.mktemp("day") / "2025-06-02.parquet"
    pl.DataFrame(
        {
            "plate": [plate for plate, _, _ in rows],
            "checkpoint_id": [place for _, place, _ in rows],
            "at": [BEGIN + timedelta(milliseconds=round(t * 1000)) for _, _, t in rows],
            "lane": [None if n % 7 == 0 else n % 3 + 1 for n in range(len(rows))],
            "plate_kind": ["small" if n % 5 else "large" for n in range(len(rows))],
        },
        schema_overrides={"at": pl.Datetime("us", "UTC"), "lane": pl.Int16},
    ).write_parquet(path)
    return path


def test_companions_are_those_that_polars_finds(spark: Any, day: Path) -> None:
    rules = CompanionRules(min_surprise=0.0)
    ours = mining.city_companions(pl.scan_parquet(day), rules, 500)
    theirs = mining_spark.city_companions(mining_spark.read(spark, [day]), rules, 500)
    assert_frame_equal(ours, theirs, check_dtypes=False)
    convoy = ours.row(by_predicate=pl.col("plate") == "鲁HAAAA1", named=True)
    assert (convoy["other_plate"], convoy["count"], convoy["meetings"]) == ("鲁HAAAA2", 8, 2)
    assert ours.height > 20


def test_flow_is_what_polars_counts(spark: Any, day: Path) -> None:
    ours = mining.city_flow(pl.scan_parquet(day))
    theirs = mining_spark.city_flow(mining_spark.read(spark, [day]))
    assert_frame_equal(ours, theirs)
    assert ours["vehicles"].sum() == pl.scan_parquet(day).collect().height


def test_a_worker_process_on_the_cluster_leaves_the_findings_of_this_machine(
    sqlite_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real process: claim, day files, a cluster of its own, findings kept; it ends by itself."""
    defaults = "".join(f"{name} {value}\n" for name, value in FEW)
    (tmp_path / "spark-defaults.conf").write_text(defaults, encoding="ascii")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    site = sqlite_site
    sent(site, *drive(ME, range(5)), *drive(FRIEND, range(4), 8), *drive(STRANGER, range(2), 9))
    officer = site.as_role("officer")
    job = start_job(officer, "companions")
    assert Work(site.settings, site.context.database, "worker").run()
    ours = opened(officer, job)
    chosen = {"engine": "spark", "spark_master": "local[2]"}
    analyses = site.settings.analyses.model_copy(update=chosen)
    settings = site.settings.model_copy(update={"analyses": analyses})
    job = start_job(officer, "companions")
    # the process lives by the real clock, to which the past of the tests is a lost worker's
    JobRunner(settings, site.context.database, lambda: datetime.now(UTC))._work()
    until = time.monotonic() + 180
    while (theirs := opened(officer, job))["job"]["state"] in {"waiting", "running"}:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert [answer["job"]["state"] for answer in (ours, theirs)] == ["done", "done"]
    assert ours["findings"] == theirs["findings"]
    first = ours["findings"][0]
    assert {first["plate"], first["other_plate"]} == {ME, FRIEND}
