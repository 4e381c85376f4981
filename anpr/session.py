"""The only file that touches onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from anpr.errors import InferenceError, WeightsError

PROVIDERS: Final = ("CPUExecutionProvider",)
"""A checkpoint box has a CPU; other providers are a matter of passing them."""


class Network:
    """One ONNX network with one image input, ready to run; may be shared between threads."""

    def __init__(
        self, path: Path, *, threads: int = 1, providers: Sequence[str] = PROVIDERS
    ) -> None:
        """Load the network.

        Args:
            path: an ``.onnx`` file.
            threads: CPU threads of one run, at least 1.
            providers: execution providers of onnxruntime in order of preference.

        Raises:
            WeightsError: the file is no network that can be run; the message names it.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that sleep between the layers of one run cost it a tenth; threads that spin
        # between runs take the processor from the rest of a small box.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=list(providers)
            )
        except Exception as error:  # onnxruntime's exceptions have no common base but this
            raise WeightsError(f"{path}: not a network that can be run: {error}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            shapes = [(i.name, i.shape) for i in inputs]
            raise WeightsError(f"{path}: expected one input of four axes, found {shapes}")
        self._path = path
        self._input: str = inputs[0].name
        self._outputs: list[str] = [o.name for o in self._session.get_outputs()]

    @property
    def path(self) -> Path:
        """Where the network was loaded from."""
        return self._path

    @property
    def metadata(self) -> Mapping[str, str]:
        """The custom metadata written at export."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Four axes; None where the network takes any size."""
        shape = self._session.get_inputs()[0].shape
        return tuple(size if isinstance(size, int) else None for size in shape)

    @property
    def input_type(self) -> str:
        """What the input is made of, as onnxruntime writes it: ``tensor(float)``."""
        return str(self._session.get_inputs()[0].type)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs in order."""
        return tuple(self._outputs)

    def run(self, batch: NDArray[np.float32] | NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """One forward pass: a batch of the network's type and axes to the outputs by name.

        Raises:
            InferenceError: the network failed; the message names it.
        """
        try:
            values = self._session.run(self._outputs, {self._input: batch})
        except Exception as error:  # as above
            raise InferenceError(f"{self._path}: failed on {batch.shape}: {error}") from error
        return dict(zip(self._outputs, values, strict=True))
