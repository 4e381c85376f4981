"""A real RTSP server, GStreamer's, in a process of its own: run by Debian's Python, not ours.

``/usr/bin/python3 rtsp_server.py PORT [--user NAME --password WORD] CODEC=FILE…`` serves each MP4
as a live stream under the path ``/CODEC``, over TCP alone, from its beginning for the first viewer,
and writes ``ready`` when it listens.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - after the versions are chosen

PAYLOADERS = {"h264": "rtph264pay", "h265": "rtph265pay"}


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("streams", nargs="+", metavar="CODEC=FILE")
    parser.add_argument("--user")
    parser.add_argument("--password")
    chosen = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(chosen.port)
    if chosen.user:
        server.set_auth(guard(chosen.user, chosen.password))
    for stream in chosen.streams:
        codec, _, file = stream.partition("=")
        factory = GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(
            f"( filesrc location={file} ! qtdemux name=d d.video_0 ! queue"
            f" ! {codec}parse ! video/x-{codec},alignment=au ! {PAYLOADERS[codec]} name=pay0 pt=96 config-interval=-1 )"
        )
        factory.set_shared(True)
        factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
        if chosen.user:
            permissions = GstRtspServer.RTSPPermissions.new()
            for right in ("access", "construct"):
                permissions.add_permission_for_role("viewer", f"media.factory.{right}", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(f"/{codec}", factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


def guard(user: str, password: str) -> "GstRtspServer.RTSPAuth":
    """Digest, and only this user."""
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", "viewer")
    auth.add_digest(user, password, token)
    return auth


if __name__ == "__main__":
    main()
