"""A TCP wire to a Vault that a test can cut, or hold the answers back on, whatever Vault is behind it."""

import socket
import threading
from contextlib import suppress
from enum import Enum
from urllib.parse import urlsplit


class Passing(Enum):
    """What becomes of the answers; questions always arrive."""

    OPEN = "open"
    HELD = "held"
    """They wait until the wire is closed."""
    CUT = "cut"
    """The connection ends instead."""


class Wire:
    """Listens on loopback and splices to *address* (http://host:port)."""

    def __init__(self, address: str) -> None:
        there = urlsplit(address)
        self._there = (there.hostname or "", there.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = threading.Event()
        self._sockets: list[socket.socket] = []
        self.passing = Passing.OPEN
        self.answered = threading.Event()
        """An answer came while they were held or cut."""
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut everything."""
        self._closed.set()
        for each in (self._listener, *self._sockets):
            _end(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._there)
                self._sockets += [here, there]
                threading.Thread(target=self._splice, args=(here, there), daemon=True).start()
                threading.Thread(target=self._splice_back, args=(there, here), daemon=True).start()

    def _splice(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        _end(sink)

    def _splice_back(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.passing is not Passing.OPEN:
                    self.answered.set()
                if self.passing is Passing.HELD:
                    self._closed.wait(60)
                if self.passing is not Passing.OPEN:
                    break
                sink.sendall(data)
        _end(sink)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
