"""Write trained networks as the files that ``anpr`` loads, and check that they answer alike."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import yaml
from torch import nn

from anpr.plate import RECOGNISER_ALPHABET

_MODEL_NAME = "PP-OCRv5_mobile_rec"
"""PaddleX picks its predictor by a name that it knows; the weights are our own."""
_TOLERANCE = 1e-4


def export_onnx(
    net: nn.Module, path: Path, size_px: tuple[int, int], output: str, *, from_bytes: bool = False
) -> None:
    """Export ``net`` with input ``x`` ``(N, 3, H, W)``, N dynamic, and verify it.

    With ``from_bytes`` its input is ``uint8 (N, H, W, 3)``.

    Raises:
        RuntimeError: onnxruntime answers otherwise than the network.
    """
    net.eval()
    width, height = size_px
    if from_bytes:
        sample = torch.randint(0, 256, (3, height, width, 3), dtype=torch.uint8)
    else:
        sample = torch.randn(3, 3, height, width)
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (sample,),
            str(path),
            input_names=["x"],
            output_names=[output],
            dynamic_axes={"x": {0: "n"}, output: {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    for count in (1, 3):
        answer = session.run(None, {"x": sample[:count].numpy()})[0]
        with torch.inference_mode():
            expected = net(sample[:count]).numpy()
        if not np.allclose(answer, expected, atol=_TOLERANCE):
            raise RuntimeError(
                f"{path}: differs from the network by {np.abs(answer - expected).max()}"
            )


def write_inference_yml(path: Path, size_px: tuple[int, int]) -> None:
    """The description that PaddleOCR reads beside ``inference.onnx``."""
    width, height = size_px
    description = {
        "Global": {"model_name": _MODEL_NAME},
        "PreProcess": {
            "transform_ops": [
                {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}},
                {"RecResizeImg": {"image_shape": [3, height, width]}},
            ]
        },
        "PostProcess": {
            "name": "CTCLabelDecode",
            "character_dict": list(RECOGNISER_ALPHABET),
        },
    }
    text = yaml.safe_dump(description, allow_unicode=True, sort_keys=False)
    path.write_text(text, encoding="utf-8")
