"""The listening socket."""

import socket

from server import serving


def test_the_body_of_an_answer_does_not_wait_for_its_head_to_be_acknowledged() -> None:
    """Else every answer on a kept-alive connection takes a client's delayed ACK, 40 ms."""
    with (
        serving._bind("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
