"""The io_uring of the suite, on this machine's kernel if it offers one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.guest.test_oracle import suite_module


@pytest.fixture
def ring() -> Iterator[Any]:
    aio = suite_module("aio")
    try:
        with aio.ring_if_offered() as one:
            yield one
    except aio.af_alg.NotOffered as refusal:
        pytest.skip(str(refusal))


def test_it_splices_from_a_pipe(ring: Any) -> None:
    read_end, write_end = os.pipe()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for number in range(12):  # more than the ring has room for at once
            os.write(write_end, b"%5d" % number)
            assert ring.splice(read_end, ours.fileno(), 5) == 5
            assert theirs.recv(9) == b"%5d" % number
        with pytest.raises(BlockingIOError):
            ring.splice(read_end, ours.fileno(), 5, flags=2)  # SPLICE_F_NONBLOCK
        os.close(write_end)
        assert ring.splice(read_end, ours.fileno(), 5) == 0
    os.close(read_end)


def test_it_accepts(ring: Any) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        socket.socket(fileno=ring.accept(server.fileno())) as accepted,
    ):
        accepted.send(b"x")
        assert client.recv(1) == b"x"


def test_an_error_is_raised(ring: Any) -> None:
    with pytest.raises(OSError, match="splice by io_uring"):
        ring.splice(0, -1, 1)
