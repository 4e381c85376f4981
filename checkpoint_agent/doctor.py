"""What ails this box: camera, clock, disk, models, server; each with a verdict and a remedy.

What is measured is judged by pure functions, so that each verdict can be tested by itself.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from anpr import AnprError, load_reader
from anpr.types import Image
from checkpoint_agent.calibrate import picture_verdict
from checkpoint_agent.capture import Feed, open_source
from checkpoint_agent.clock import Clock, ClockState
from checkpoint_agent.config import AgentConfig, CameraConfig, ReaderConfig
from checkpoint_agent.errors import (
    AccessRefused,
    CameraFault,
    CameraLost,
    ConfigError,
    ServerUnavailable,
    SourceError,
)
from checkpoint_agent.findings import Finding, Words
from checkpoint_agent.frames import Frame
from checkpoint_agent.link import UNFIT, Link
from checkpoint_agent.log import masked
from checkpoint_agent.recordings import Folder
from checkpoint_agent.sight import look_at
from checkpoint_agent.streams import open_stream
from server.wire import INGEST_PATH

CLOCK_WARNING_MS, CLOCK_BAD_MS = 500.0, 5_000.0
"""So far may this box's clock be from the server's: travel times and alerts depend on it."""
DISK_BAD_MB = 500
_FRAMES_LOOKED_AT = 5
_FRAMES_WITHIN_S = 20.0


def examine(config: AgentConfig, clock: Clock) -> Iterator[Finding]:
    """Look at everything, one after the other; takes seconds for each camera."""
    for camera in config.camera:
        yield camera_finding(camera, clock)
    yield server_finding(config, clock)  # before the clock, which it is held against
    yield clock_finding(clock.state())
    yield disk_finding(config, _free_mb(config), _unwritable(config))
    yield models_finding(config.reader)


# ---------------------------------------------------------------------- cameras

CAMERA_REMEDIES: dict[CameraFault, Words] = {
    "address": (
        "检查 camera.source 中的地址",
        "check the address in camera.source",
    ),
    "unreachable": (
        "检查网线、供电和网段，先 ping 摄像机",
        "check cable, power and subnet; ping the camera",
    ),
    "refused": (
        "该端口无服务：在摄像机上开启 RTSP，核对端口（通常 554）",
        "nothing listens there: enable RTSP on the camera, check the port (usually 554)",
    ),
    "silent": (
        "摄像机无响应：检查供电、带宽和同时取流数上限",
        "the camera does not answer: check power, bandwidth, and how many viewers it allows",
    ),
    "login": (
        "改正 camera.source 中的用户名和密码（特殊字符写成 %XX）；多次出错后摄像机可能已锁定，请稍候",
        (
            "correct user and password in camera.source (special characters as %XX); after several"
            " wrong ones the camera may be locked for some minutes"
        ),
    ),
    "path": (
        "核对码流路径，例如 /Streaming/Channels/101（海康）或 /cam/realmonitor?channel=1&subtype=0（大华）",
        (
            "check the stream's path, such as /Streaming/Channels/101 (Hikvision) or"
            " /cam/realmonitor?channel=1&subtype=0 (Dahua)"
        ),
    ),
    "stream": (
        "在摄像机上选择 H.264 或 H.265 编码，核对地址",
        "choose H.264 or H.265 on the camera, and check the address",
    ),
}
DEVICE_REMEDY: Words = (
    "用 ls -l /dev/video* 查看设备；运行用户须属于 video 组（sudo usermod -aG video kakou）",
    (
        "see ls -l /dev/video*; the agent's user belongs into group video"
        " (sudo usermod -aG video kakou)"
    ),
)


def camera_finding(camera: CameraConfig, clock: Clock) -> Finding:
    """Open a camera or recording and look at a few frames."""
    try:
        image = _picture_of(camera, clock)
    except CameraLost as error:
        remedy = CAMERA_REMEDIES[error.fault] if "://" in camera.source else DEVICE_REMEDY
        said = (f"取不到画面：{error}", f"no picture: {error}")
        return Finding("camera", camera.id, "bad", said, remedy)
    except SourceError as error:
        said = (f"无法读取：{error}", f"cannot be read: {error}")
        remedy = ("检查 camera.source 和文件权限", "check camera.source and the file's permissions")
        return Finding("camera", camera.id, "bad", said, remedy)
    if image is None:
        return Finding("camera", camera.id, "good", ("等待图片", "waits for pictures"))
    return picture_finding(camera.id, image)


def picture_finding(camera_id: str, image: Image) -> Finding:
    """Whether a camera's picture is fit to read plates in."""
    height_px, width_px = image.shape[:2]
    size = f"{width_px}x{height_px}"
    look = look_at(image)
    verdict = picture_verdict(look.bright_share, look.edge_px)
    if verdict == "black":
        said = (f"{size}，画面全黑", f"{size}, the picture is black")
        remedy = ("取下镜头盖，检查补光和光圈", "take off the lens cap; check light and iris")
        return Finding("camera", camera_id, "bad", said, remedy)
    if verdict == "defocused":
        edge = "-" if look.edge_px is None else f"{look.edge_px:.1f}"
        said = (
            f"{size}，画面模糊或被遮挡（边缘宽 {edge} px）",
            f"{size}, soft or covered (edges {edge} px wide)",
        )
        remedy = ("对焦、清洁镜头，再运行 calibrate", "focus, clean the lens, then run calibrate")
        return Finding("camera", camera_id, "warning", said, remedy)
    return Finding("camera", camera_id, "good", (f"{size}，画面正常", f"{size}, good picture"))


def _picture_of(camera: CameraConfig, clock: Clock) -> Image | None:
    """A picture; ``None`` if a followed folder is still empty.

    Raises:
        SourceError: if there is none.
    """
    if camera.live:
        stream = open_stream(camera, clock)
        ends_s = clock.monotonic_s() + _FRAMES_WITHIN_S
        try:
            image, number = None, 0
            while number < _FRAMES_LOOKED_AT and clock.monotonic_s() < ends_s:
                arrival = stream.next(threading.Event(), lambda: True)
                number += 1
                image = image if arrival is None else arrival.image
        finally:
            stream.close()
        if image is None:
            raise CameraLost(f"{masked(camera.source)}: what comes cannot be decoded", "stream")
        return image
    source = open_source(camera, None, clock, idle_exit_s=0.0)
    feed = Feed(camera.id, source, threading.Event())
    feed.start()
    try:
        while not feed.ended:
            item = feed.take()
            if isinstance(item, Frame):
                return item.image
            if item is None:
                time.sleep(0.02)
    finally:
        feed.stop(timeout_s=1.0)
    if isinstance(source, Folder) and camera.follow:
        return None
    raise SourceError(f"{camera.source}: holds no picture that can be decoded")


# ---------------------------------------------------------------------- server


def server_finding(
    config: AgentConfig, clock: Clock, link: Callable[[], Link] | None = None
) -> Finding:
    """Ask the server for nothing: whether it is there, trusted, trusts us, and speaks version 1.

    An empty object is sent where passages go. A server that knows us and the protocol calls it
    unfit, and keeps nothing.
    """
    url = config.server.url
    try:
        opened = (link or (lambda: Link(config.server, clock)))()
    except ConfigError as error:
        remedy = ("检查证书文件", "check the certificate files")
        return Finding("server", url, "bad", (f"证书：{error}", str(error)), remedy)
    try:
        answer = opened.request("POST", INGEST_PATH, b"{}", media_type="application/json")
    except AccessRefused as error:
        said = (f"拒绝令牌：{error}", f"refuses us: {error}")
        remedy = (
            "请管理员签发新令牌（python -m server agent-token issue），写入 server.token_file",
            (
                "have the administrator issue a token (python -m server agent-token issue) and put it"
                " into server.token_file"
            ),
        )
        return Finding("server", url, "bad", said, remedy)
    except ServerUnavailable as error:
        return Finding("server", url, "bad", *_unreachable(str(error)))
    finally:
        opened.close()
    if answer.status not in UNFIT:
        said = ("应答的不是卡口服务器", "what answers there is no Kakou server")
        remedy = ("核对 server.url", "check server.url")
        return Finding("server", url, "bad", said, remedy)
    said = ("可达，令牌有效，协议 v1", "reachable, token accepted, protocol v1")
    if url.startswith("http:"):
        remedy = (
            "未加密：生产环境请使用 https 和 server.ca_file",
            "not encrypted: in production use https and server.ca_file",
        )
        return Finding("server", url, "warning", said, remedy)
    return Finding("server", url, "good", said)


def _unreachable(error: str) -> tuple[Words, Words]:
    """What a failed connection means, and what helps."""
    said = (f"无法使用：{error}", f"cannot be used: {error}")
    if "CERTIFICATE_VERIFY_FAILED" in error:
        return said, (
            "证书不受信任：把签发机构的证书写入 server.ca_file，并核对时钟和主机名",
            (
                "its certificate is not trusted: name the authority's certificate in server.ca_file,"
                " and check clock and host name"
            ),
        )
    if "SSL" in error:
        return said, (
            "对方不是 TLS 服务：核对 server.url 的 https 和端口",
            "what answers does not speak TLS: check https and port in server.url",
        )
    if "answered 404" in error or "answered 405" in error:
        return said, (
            "该地址没有协议 v1：核对 server.url，或升级服务器",
            "no protocol v1 at this address: check server.url, or upgrade the server",
        )
    if "answered" in error:
        return said, ("查看服务器日志", "look into the server's log")
    return said, (
        "检查网络、防火墙和 server.url；断网期间过车记录保存在本机",
        "check network, firewall and server.url; passages are kept on the box meanwhile",
    )


# ---------------------------------------------------------------------- the box


def clock_finding(state: ClockState) -> Finding:
    """Whether the clock is right, and kept right."""
    remedy = (
        "安装并启用对时：sudo apt-get install chrony；在 /etc/chrony/chrony.conf 中写入授时服务器",
        (
            "keep it right: sudo apt-get install chrony, and name your time server in"
            " /etc/chrony/chrony.conf"
        ),
    )
    zh = {True: "已同步", False: "未同步", None: "同步状态未知"}[state.synchronised]
    en = {True: "synchronised", False: "not synchronised", None: "unknown whether synchronised"}
    said = (zh, en[state.synchronised])
    if state.offset_ms is not None:
        figure = f"{state.offset_ms:+.0f} ms (±{state.uncertainty_ms or 0:.0f})"
        said = (f"{zh}，偏差 {figure}", f"{said[1]}, off by {figure}")
    sure_ms = max(0.0, abs(state.offset_ms or 0.0) - (state.uncertainty_ms or 0.0))
    if sure_ms >= CLOCK_BAD_MS:
        return Finding("clock", "", "bad", said, remedy)
    if state.synchronised is not True or sure_ms >= CLOCK_WARNING_MS:
        return Finding("clock", "", "warning", said, remedy)
    return Finding("clock", "", "good", said)


def disk_finding(config: AgentConfig, free_mb: int, unwritable: str | None) -> Finding:
    """Whether there is room for days without the server."""
    folder, wanted_mb = str(config.data_dir), config.outbox.pictures_limit_mb
    if unwritable is not None:
        said = (f"无法写入：{unwritable}", f"cannot be written: {unwritable}")
        remedy = (
            "建立该目录并交给运行用户：sudo install -d -o kakou 目录",
            "make the folder and give it to the agent's user: sudo install -d -o kakou FOLDER",
        )
        return Finding("disk", folder, "bad", said, remedy)
    said = (f"剩余 {free_mb} MB", f"{free_mb} MB free")
    if free_mb < DISK_BAD_MB:
        remedy = ("清理磁盘", "free some space")
        return Finding("disk", folder, "bad", said, remedy)
    if free_mb < wanted_mb:
        remedy = (
            f"outbox.pictures_limit_mb 为 {wanted_mb} MB：请扩容或调小",
            f"outbox.pictures_limit_mb is {wanted_mb} MB: a larger disk, or a smaller limit",
        )
        return Finding("disk", folder, "warning", said, remedy)
    return Finding("disk", folder, "good", said)


def _free_mb(config: AgentConfig) -> int:
    """What is free where the data folder is or will be."""
    return shutil.disk_usage(_nearest(config.data_dir)).free // 1_000_000


def _nearest(folder: Path) -> Path:
    """The folder, or what exists of the way to it."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _unwritable(config: AgentConfig) -> str | None:
    """Why nothing can be written to the data folder; ``None`` if it can."""
    if not config.data_dir.exists():  # whoever makes it here would own it
        parent = _nearest(config.data_dir)
        return None if os.access(parent, os.W_OK | os.X_OK) else f"{parent}: Permission denied"
    try:
        with tempfile.TemporaryFile(dir=config.data_dir) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None


def models_finding(config: ReaderConfig) -> Finding:
    """Whether the models are whole, and run; how long one picture takes."""
    try:
        reader = load_reader(
            config.models_dir, recogniser=config.recogniser, threads=config.threads
        )
        image = np.full((1080, 1920, 3), 114, np.uint8)
        reader.read(image)
        began_s = time.perf_counter()
        reader.read(image)
        spent_ms = (time.perf_counter() - began_s) * 1000
    except (AnprError, ValueError, ImportError) as error:
        said = (f"无法运行：{error}", f"do not run: {error}")
        remedy = (
            "重新安装模型目录，或核对 reader.models_dir",
            "install the models folder anew, or check reader.models_dir",
        )
        return Finding("models", "", "bad", said, remedy)
    subject = f"{reader.detector_name}, {reader.recogniser_name}"
    said = (
        f"正常，检测一幅 1080p 画面 {spent_ms:.0f} ms",
        f"good, {spent_ms:.0f} ms to search a 1080p picture",
    )
    return Finding("models", subject, "good", said)
