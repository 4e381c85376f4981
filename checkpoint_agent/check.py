"""What can be wrong with a configuration beyond its form: ``check-config``."""

import threading
from collections.abc import Iterator

from checkpoint_agent.capture import open_source
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig, CameraConfig
from checkpoint_agent.errors import CameraLost, SourceError
from checkpoint_agent.live import open_stream
from checkpoint_agent.recordings import Folder


def faults(config: AgentConfig, clock: Clock, *, connect: bool) -> Iterator[str]:
    """What will not work, each fault with its key.

    Args:
        config: A configuration whose form is right.
        clock: Tells the time.
        connect: Whether to open live cameras as well, which takes seconds.
    """
    token_file = config.server.token_file
    if not token_file.is_file():
        yield f"server.token_file: {token_file} does not exist"
    elif not token_file.read_bytes().strip():
        yield f"server.token_file: {token_file} is empty"
    ca_file = config.server.ca_file
    if ca_file is not None and not ca_file.is_file():
        yield f"server.ca_file: {ca_file} does not exist"
    if config.data_dir.exists() and not config.data_dir.is_dir():
        yield f"data_dir: {config.data_dir} is not a folder"
    for index, camera in enumerate(config.camera):
        try:
            _try(camera, clock, connect=connect)
        except SourceError as error:
            yield f"camera[{index}].source: {error}"


def _try(camera: CameraConfig, clock: Clock, *, connect: bool) -> None:
    """Open a camera, and take one picture.

    Raises:
        SourceError: if that fails.
    """
    if not camera.live:
        source = open_source(camera, None, clock, idle_exit_s=0.0)
        if isinstance(source, Folder) and camera.follow:
            return  # may be empty still
        if next(source.frames(threading.Event()), None) is None:
            raise SourceError(f"{camera.source}: holds no picture that can be decoded")
    elif connect:
        stream = open_stream(camera, clock)
        try:
            if stream.next(threading.Event()) is None:
                raise CameraLost("the picture is broken")
        finally:
            stream.close()
