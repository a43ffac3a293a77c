"""Who takes webhooks of a real Muster: a server in a thread of its own, on the loopback."""

import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.dialects.hono.receiver import Call


class Receiver:
    """Keeps what comes, by path, and answers 204."""

    def __init__(self) -> None:
        self._calls: dict[str, list[Call]] = defaultdict(list)
        self._came = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        keep = self._keep

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                keep(self.path, Call({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def _keep(self, path: str, call: Call) -> None:
        with self._came:
            self._calls[path].append(call)
            self._came.notify_all()

    def url(self, path: str) -> str:
        """Give the address of a path of it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def heard(self, path: str, *, patience: float) -> list[Call]:
        """Give what came to a path; wait for the first at most *patience* seconds."""
        with self._came:
            assert self._came.wait_for(lambda: self._calls[path], patience), f"nothing came to {path}"
            return list(self._calls[path])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
