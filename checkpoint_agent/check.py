"""What can be wrong with a configuration beyond its form: ``check-config``."""

import shutil
import threading
from collections.abc import Iterator

from checkpoint_agent.capture import open_source
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig, CameraConfig
from checkpoint_agent.config_upkeep import ServerConfig
from checkpoint_agent.errors import CameraLost, ConfigError, SourceError
from checkpoint_agent.link import trust
from checkpoint_agent.recordings import Folder
from checkpoint_agent.streams import open_stream


def faults(config: AgentConfig, clock: Clock, *, connect: bool) -> Iterator[str]:
    """What will not work, each fault with its key.

    Args:
        config: A configuration whose form is right.
        clock: Tells the time.
        connect: Whether to open live cameras as well, which takes seconds.
    """
    yield from _credential_faults(config.server)
    hook = config.watchlist.hook
    if hook and shutil.which(hook[0]) is None:
        yield f"watchlist.hook: {hook[0]} cannot be run"
    if config.data_dir.exists() and not config.data_dir.is_dir():
        yield f"data_dir: {config.data_dir} is not a folder"
    for index, camera in enumerate(config.camera):
        try:
            _try(camera, clock, connect=connect)
        except SourceError as error:
            yield f"camera[{index}].source: {error}"


def _credential_faults(config: ServerConfig) -> Iterator[str]:
    """What is wrong with token and certificates."""
    token_file = config.token_file
    if token_file is not None and not token_file.is_file():
        yield f"server.token_file: {token_file} does not exist"
    elif token_file is not None and not token_file.read_bytes().strip():
        yield f"server.token_file: {token_file} is empty"
    missing = False
    for key in ("ca_file", "client_cert_file", "client_key_file"):
        path = getattr(config, key)
        if path is not None and not path.is_file():
            yield f"server.{key}: {path} does not exist"
            missing = True
    if not missing:
        try:
            trust(config)
        except ConfigError as error:
            yield str(error)


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
            if stream.next(threading.Event(), lambda: True) is None:
                raise CameraLost("the picture is broken", "stream")
        finally:
            stream.close()
