"""One log line and one measurement for each request, at one seam."""

import asyncio
import atexit
import contextlib
import sys
import threading
import traceback
from typing import Any, BinaryIO

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from muster.web.request import Request

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Lines:
    """Writes log lines. In an event loop what only informs is written a moment later, many lines at once.

    A line is written within SOON seconds; kill -9 may lose what came in these. Warnings and worse, and what
    other threads say, are written at once, after all that came before.
    """

    SOON = 0.02

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        atexit.register(self.flush)

    def info(self, line: bytes) -> None:
        """Write it soon."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.warning(line)
            return
        with self._lock:
            self._waiting.append(line)
            is_first = len(self._waiting) == 1
        if is_first:
            loop.call_later(self.SOON, self.flush)

    debug = info

    def warning(self, line: bytes) -> None:
        """Write it now."""
        with self._lock:
            self._waiting.append(line)
        self.flush()

    error = critical = exception = warning

    def flush(self) -> None:
        """Write what waits."""
        with self._lock, contextlib.suppress(ValueError):  # of a stream that is closed already
            if self._waiting:
                self._to.write(b"\n".join([*self._waiting, b""]))
                self._waiting.clear()
                self._to.flush()


def json_logger(lines: Lines | None = None, level: str = "info") -> Any:
    """Give a logger that writes one JSON object a line, of *level* and above; without *lines* to stdout."""
    return structlog.wrap_logger(
        lines or Lines(sys.stdout.buffer),
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    ).bind()


def log_as_json(lines: Lines, level: str = "info") -> None:
    """Have every logger of this process write like that."""
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )


def _to_bytes(event: dict[str, Any], **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


_PROCESSORS: list[Any] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(serializer=_to_bytes),
]


class Observer:
    """Counts and logs requests."""

    __slots__ = ("_children", "_counter", "_histogram", "_log")

    def __init__(self, registry: CollectorRegistry, log: Any) -> None:
        self._log = log
        self._counter = Counter(
            "muster_http_requests",
            "Requests answered.",
            ("dialect", "method", "route", "status"),
            registry=registry,
        )
        self._histogram = Histogram(
            "muster_http_request_seconds",
            "From the first byte read to the last byte written.",
            ("dialect", "method", "route"),
            registry=registry,
            buckets=_BUCKETS,
        )
        self._children: dict[tuple[str, str, str, int], tuple[Any, Any]] = {}

    def answered(self, request: Request, status: int, seconds: float) -> None:
        """Record that a request was answered; the log has the path's template, never the path."""
        method = request.scope["method"] if request.scope["method"] in _METHODS else "OTHER"
        key = (request.dialect, method, request.template, status)
        children = self._children.get(key) or self._child(key)
        children[0].inc()
        children[1].observe(seconds)
        self._log.info(
            "request",
            method=method,
            route=request.template,
            status=status,
            ms=round(seconds * 1000, 3),
            caller=request.caller_id,
            tenant=request.tenant,
            dialect=request.dialect,
            request_id=request.id,
            source=request.source,
        )

    def failed(self, request: Request, error: BaseException) -> None:
        """Log an error nobody expected: where and of which kind, not its text: that may hold a secret."""
        self._log.error(
            "unexpected error",
            route=request.template,
            request_id=request.id,
            error=_kinds(error),
            where=_frames(error),
        )

    def _child(self, key: tuple[str, str, str, int]) -> tuple[Any, Any]:
        dialect, method, route, status = key
        return self._children.setdefault(
            key,
            (
                self._counter.labels(dialect, method, route, str(status)),
                self._histogram.labels(dialect, method, route),
            ),
        )


def _kinds(error: BaseException) -> list[str]:
    kinds: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(kinds) < 10:
        kinds.append(f"{type(seen).__module__}.{type(seen).__qualname__}")
        seen = seen.__cause__ or seen.__context__
    return kinds


def _frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
