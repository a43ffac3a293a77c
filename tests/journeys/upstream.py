"""A Muster that also listens where upstream's services do, on a loopback address of the test's own."""

import random
import socket
from pathlib import Path
from urllib.parse import urlsplit

from tests.journeys.printed import Document, Reply
from tests.journeys.server import Server

PORTS = (8180, 8182, 8185, 8186, 8189, 8190, 8202, 8905, 8204, 8888, 8091, 8989, 9002, 9006)


def free_host() -> str:
    """Give a loopback address where all of upstream's ports are free."""
    chosen = random.SystemRandom()
    while True:
        host = f"127.{chosen.randint(1, 254)}.{chosen.randint(0, 255)}.{chosen.randint(1, 254)}"
        if all(_is_free(host, port) for port in PORTS):
            return host


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex((host, port)) != 0


def upstream_server(folder: Path, **environment: str) -> Server:
    """Prepare a server with upstream's ports open; start it with `with`."""
    host = free_host()
    server = Server(folder, **{"MUSTER_HTTP": f"{host}:8080", "MUSTER_UPSTREAM_PORTS": "true", **environment})
    server.url = f"http://{host}:8080"
    return server


class PortDocument(Document):
    """A document whose printed ports are kept, and only the hosts replaced."""

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Reply:
        own, port = self.address, urlsplit(url).port
        if port is not None:
            self.address = f"{own.partition(':')[0]}:{port}"
        try:
            return super()._send(method, url, headers, body)
        finally:
            self.address = own
