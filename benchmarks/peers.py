"""Other readers of plates or text, to be timed on the same frames in the same run.

A peer that is not installed, or that would have to fetch its weights first, is named with the reason
and left out; nothing is ever downloaded.
"""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import yaml

from benchmarks.checkpoint_frames import Picture

Run = Callable[[Picture], Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another engine: its name, and either what runs it on a frame or why nothing can."""

    name: str
    run: Run | None
    reason: str = ""


def peers(threads: int) -> list[Peer]:
    """Every peer, runnable or not; ``threads`` where a peer lets itself be told."""
    return [paddleocr_pipeline(threads), hyperlpr3(), hyperlpr2()]


def paddleocr_pipeline(threads: int) -> Peer:
    """PaddleOCR's detection and recognition of text, with the PP-OCRv6 small networks of rapidocr.

    PaddleOCR itself ships no weights; the package ``rapidocr`` has them in its wheel.
    """
    name = "PaddleOCR, whole pipeline (PP-OCRv6 small)"
    if importlib.util.find_spec("paddleocr") is None:
        return Peer(name, None, "paddleocr is not installed")
    found = importlib.util.find_spec("rapidocr")
    if found is None or not found.submodule_search_locations:
        return Peer(name, None, "no weights: rapidocr, whose wheel has them, is not installed")
    models = Path(next(iter(found.submodule_search_locations))) / "models"
    det, rec = models / "PP-OCRv6_det_small.onnx", models / "PP-OCRv6_rec_small.onnx"
    if not (det.is_file() and rec.is_file()):
        return Peer(name, None, f"no PP-OCRv6 small networks in {models.name}")
    os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")
    from paddleocr import PaddleOCR  # noqa: PLC0415 – seconds, only here

    with tempfile.TemporaryDirectory() as folder:
        _detection_folder(det, Path(folder) / "det")
        _recognition_folder(rec, Path(folder) / "rec")
        engine = PaddleOCR(
            text_detection_model_name="PP-OCRv6_small_det",
            text_detection_model_dir=str(Path(folder) / "det"),
            text_recognition_model_name="PP-OCRv6_small_rec",
            text_recognition_model_dir=str(Path(folder) / "rec"),
            text_det_limit_side_len=960,
            text_det_limit_type="max",
            use_doc_orientation_classify=False,
            use_doc_unwarping=False,
            use_textline_orientation=False,
            engine="onnxruntime",
            engine_config={"intra_op_num_threads": threads},
            device="cpu",
        )
    return Peer(name, engine.predict)


def _detection_folder(network: Path, folder: Path) -> None:
    _folder(
        network,
        folder,
        {
            "Global": {"model_name": "PP-OCRv6_small_det"},
            "PreProcess": {
                "transform_ops": [
                    {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
                    {"DetResizeForTest": {"limit_side_len": 736, "limit_type": "min"}},
                    {
                        "NormalizeImage": {
                            "mean": [0.5] * 3,
                            "std": [0.5] * 3,
                            "scale": "1./255.",
                            "order": "hwc",
                        }
                    },
                    {"ToCHWImage": None},
                ]
            },
            "PostProcess": {
                "name": "DBPostProcess",
                "thresh": 0.3,
                "box_thresh": 0.5,
                "max_candidates": 1000,
                "unclip_ratio": 1.6,
            },
        },
    )


def _recognition_folder(network: Path, folder: Path) -> None:
    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    characters = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    _folder(
        network,
        folder,
        {
            "Global": {"model_name": "PP-OCRv6_small_rec"},
            "PreProcess": {
                "transform_ops": [
                    {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
                    {"RecResizeImg": {"image_shape": [3, 48, 320]}},
                ]
            },
            "PostProcess": {"name": "CTCLabelDecode", "character_dict": characters},
        },
    )


def _folder(network: Path, folder: Path, config: dict[str, Any]) -> None:
    folder.mkdir()
    shutil.copyfile(network, folder / "inference.onnx")
    text = yaml.safe_dump(config, allow_unicode=True)
    (folder / "inference.yml").write_text(text, encoding="utf-8")


def hyperlpr3() -> Peer:
    """HyperLPR3 as published: its wheel has no weights, its import fetches them."""
    name = "HyperLPR3"
    if importlib.util.find_spec("hyperlpr3") is None:
        return Peer(name, None, "hyperlpr3 is not installed")
    weights = Path.home() / ".hyperlpr3" / "20230229" / "onnx" / "y5fu_320x_sim.onnx"
    if not weights.is_file():
        return Peer(name, None, "the wheel has no weights; importing it would download them")
    from hyperlpr3 import LicensePlateCatcher  # noqa: PLC0415

    return Peer(name, LicensePlateCatcher())


def hyperlpr2() -> Peer:
    """HyperLPR 2, whose wheel has its Caffe networks."""
    name = "hyperlpr2"
    if importlib.util.find_spec("hyperlpr2") is None:
        return Peer(name, None, "hyperlpr2 is not installed")
    try:
        from hyperlpr2 import HyperLPR_plate_recognition  # noqa: PLC0415

        HyperLPR_plate_recognition(np.full((480, 640, 3), 90, np.uint8))
    except Exception as error:  # noqa: BLE001 – an old package fails in its own ways
        return Peer(name, None, f"does not run here: {type(error).__name__}: {error}")
    return Peer(name, HyperLPR_plate_recognition)
