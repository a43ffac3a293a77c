"""Ports for what tests start: each worker of a run has a block of its own, none of it is the kernel's.

A port the kernel gave (bind to 0) may be anybody's the moment it is let go of: that of a connection that
goes out, or of another worker. A server that is killed and started again must find its own port free.
"""

import itertools
import os
import random
import socket
from collections.abc import Iterator

_FIRST, _BLOCK, _WORKERS = 10_000, 1_000, 10


def _own_block() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    first, start = _FIRST + worker * _BLOCK, random.randrange(_BLOCK)
    return (first + (start + step) % _BLOCK for step in itertools.count())


_ports = _own_block()


def free_port(host: str = "127.0.0.1") -> int:
    """Give a port that nobody listens on now, and that nothing else in this run is given."""
    for port in _ports:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("there is always a next port")
