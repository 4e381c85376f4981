"""Laws of the detector's training: geometry, targets, loss, export, and a run of seconds."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from anpr.detector import decode_peaks

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from models.training import detector  # noqa: E402
from models.training.detector_eval import box_iou  # noqa: E402
from models.training.detector_net import MOST_PLATES, STRIDE_PX, PlateNet, export_onnx, peaks  # noqa: E402
from models.training.detector_samples import LoadedScene, View, make_targets, random_view  # noqa: E402
from models.training.plate_scenes import LabelledPlate, read_rows  # noqa: E402

GREEN = (0, 255, 0)


def plate(x: float, y: float, wide: float, high: float, rows: int = 1) -> LabelledPlate:
    """A slightly slanted plate."""
    corners = [[x, y], [x + wide, y + 3], [x + wide, y + 3 + high], [x, y + high]]
    return LabelledPlate(np.array(corners, np.float32), rows)


@pytest.mark.parametrize("wide", [14.0, 24.0, 60.0, 150.0])
@pytest.mark.parametrize("rows", [1, 2])
def test_what_the_network_should_say_decodes_to_the_labelled_plate(wide: float, rows: int) -> None:
    label = plate(51.0, 83.0, wide, wide / (2 if rows == 2 else 3.14), rows)
    view = View(np.zeros((256, 256, 3), np.uint8), [label], [])
    targets = make_targets(view)
    heat, two = (torch.logit(torch.from_numpy(p), 1e-6) for p in (targets.heat, targets.rows))
    grid = torch.cat([heat, two, torch.zeros_like(heat), torch.from_numpy(targets.quad)])
    found = decode_peaks(peaks(grid[None]).numpy(), grid.shape[2], STRIDE_PX, 0.99)
    assert len(found) == 1
    assert np.allclose(np.array(found[0].quad.as_tuple()), label.corners, atol=1e-2)
    assert found[0].rows == rows


def test_every_plate_counts_the_same_however_large_it_is() -> None:
    view = View(
        np.zeros((256, 256, 3), np.uint8), [plate(10, 10, 16, 6), plate(60, 120, 160, 50)], []
    )
    assert make_targets(view).quad_weight.sum() == pytest.approx(2.0, abs=1e-4)


def test_an_ignored_region_teaches_nothing_but_a_plate_inside_it_does() -> None:
    region = np.array([[0, 0], [128, 0], [128, 128], [0, 128]], np.float32)
    view = View(np.zeros((256, 256, 3), np.uint8), [plate(40, 40, 40, 12)], [region])
    weight = make_targets(view).heat_weight[0]
    assert weight[1, 1] == 0
    assert weight[20, 20] == 1
    assert weight[int(47.5 // STRIDE_PX), int(60 // STRIDE_PX)] == 1


def test_corners_follow_the_pixels_through_every_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """The labelled quadrilateral of a view encloses the pixels it enclosed in the frame."""
    monkeypatch.setattr("models.training.detector_samples.relight", lambda image, rng: image)
    image = np.full((240, 320, 3), 40, np.uint8)
    label = plate(110, 90, 90, 30)
    cv2.fillPoly(image, [np.rint(label.corners).astype(np.int32)], GREEN)
    rng = np.random.default_rng(5)
    seen = 0
    for _ in range(40):
        view = random_view(lambda: LoadedScene(image, (label,)), 192, rng)
        for found in view.plates:
            painted = np.zeros((192, 192), np.uint8)
            cv2.fillConvexPoly(painted, np.rint(found.corners).astype(np.int32), 1)
            inner = cv2.erode(painted, np.ones((5, 5), np.uint8)).astype(bool)
            if inner.sum() > 40:
                seen += 1
                greens = view.image[inner].astype(int)
                assert np.mean((greens[:, 1] > 200) & (greens[:, 0] < 90)) > 0.9
    assert seen > 20


def test_views_are_a_function_of_the_seed() -> None:
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    scene = LoadedScene(image, (plate(80, 80, 60, 20),))
    first, second = (random_view(lambda: scene, 160, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert len(first.plates) == len(second.plates)


def test_perfect_corners_cost_nothing_and_worse_ones_more() -> None:
    view = View(np.zeros((128, 128, 3), np.uint8), [plate(30, 50, 60, 20, 2)], [])
    targets = make_targets(view)
    batch = {
        name: torch.from_numpy(getattr(targets, name))[None]
        for name in ("heat", "heat_weight", "quad", "quad_weight", "size", "rows", "rows_weight")
    }
    sure = torch.where(batch["heat"] >= 1, 9.0, -9.0)
    right = detector.detector_loss(sure, batch["quad"], sure, batch)
    off = detector.detector_loss(sure, batch["quad"] + 0.5, sure, batch)
    blind = detector.detector_loss(-sure, batch["quad"], sure, batch)
    assert float(right["quad"]) == pytest.approx(0.0, abs=1e-6)
    assert off["loss"] > right["loss"]
    assert blind["heat"] > 10 * right["heat"]


def test_the_exported_file_says_what_the_network_says_at_any_size(tmp_path: Path) -> None:
    torch.manual_seed(3)
    net = PlateNet().eval()
    export_onnx(net, tmp_path / "detector.onnx", {"step": "0"})
    session = onnxruntime.InferenceSession(
        tmp_path / "detector.onnx", providers=["CPUExecutionProvider"]
    )
    assert session.get_modelmeta().custom_metadata_map["stride"] == str(STRIDE_PX)
    for high, wide in ((32, 32), (96, 160), (384, 640), (640, 416)):
        image = torch.randint(0, 256, (1, high, wide, 3), dtype=torch.uint8)
        with torch.inference_mode():
            expected = peaks(net.grid(image.permute(0, 3, 1, 2).float() / 255)).numpy()
        (plates,) = session.run(["plates"], {"image": image.numpy()})
        assert plates.shape == expected.shape == (min(MOST_PLATES, high * wide // 64), 11)
        # two cells with scores as good as equal may change places
        assert np.allclose(plates[:, 0], expected[:, 0], atol=1e-4)
        by_cell = {row[2]: row for row in expected if row[0] > 0}
        shared = [(row, by_cell[row[2]]) for row in plates if row[2] in by_cell]
        assert len(shared) >= 0.9 * len(by_cell)
        assert all(np.allclose(ours, theirs, atol=1e-3) for ours, theirs in shared)


@pytest.mark.parametrize("seed", range(20))
def test_peaks_are_the_cells_that_no_neighbour_outdoes(seed: int) -> None:
    """Against the definition, cell by cell; every other grid has ties and plateaus."""
    rng = np.random.default_rng(seed)
    high, wide = rng.integers(1, 14, 2)
    grid = rng.normal(0, 3, (11, high, wide)).astype(np.float32)
    if seed % 2:
        grid[0] = np.round(grid[0])
    expected = []
    for y, x in np.ndindex(high, wide):
        around = grid[0, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        if grid[0, y, x] == around.max():
            expected.append((grid[0, y, x], y * wide + x))
    expected.sort(key=lambda peak: (-peak[0], peak[1]))
    got = peaks(torch.from_numpy(grid)[None]).numpy()
    assert len(got) == min(MOST_PLATES, high * wide)
    found = got[got[:, 0] > 0]
    assert len(found) == min(MOST_PLATES, len(expected))
    assert set(found[:, 2].astype(int)) == {cell for _, cell in expected}
    assert np.allclose(found[:, 0], [1 / (1 + np.exp(-logit)) for logit, _ in expected], atol=1e-6)
    for row in found:
        _, rows, size, *corners = grid[:, *divmod(int(row[2]), wide)]
        assert row[1] == pytest.approx(1 / (1 + np.exp(-rows)), abs=1e-6)
        assert np.allclose(row[3:], np.array(corners) * np.exp(np.clip(size, -2, 5)), rtol=1e-5)


def test_overlap_is_one_for_itself_and_none_for_a_stranger() -> None:
    here, there = plate(10, 10, 50, 20).corners, plate(200, 10, 50, 20).corners
    assert box_iou(here, here) == pytest.approx(1.0)
    assert box_iou(here, there) == 0.0


def test_a_run_of_seconds_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From nothing but drawn pictures to an ONNX file; a second start adds steps to the first."""
    for steps in ("2", "4"):
        monkeypatch.setattr(
            sys, "argv", ["detector", "--quick", "--runs", str(tmp_path), "--steps", steps]
        )
        detector.main()
    folder = tmp_path / "detector"
    assert [row["step"] for row in read_rows(folder / "metrics.jsonl")] == [2, 4]
    assert all(np.isfinite(row["loss"]) for row in read_rows(folder / "metrics.jsonl"))
    assert (folder / "detector.onnx").stat().st_size > 1_000_000
    assert json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["heat"] > 0
