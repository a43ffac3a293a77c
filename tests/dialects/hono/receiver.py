"""A receiver of webhooks on the loopback: it keeps what comes and answers what it is told to."""

import asyncio
import base64
import contextlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Call:
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Verify as the Standard Webhooks specification tells receivers to."""
        signed = b".".join(
            [self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body]
        )
        key = base64.b64decode(secret.removeprefix("whsec_"))
        wanted = base64.b64encode(hmac.new(key, signed, "sha256").digest()).decode()
        return f"v1,{wanted}" in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """To answer, one after another; then 204."""
    status_of: Callable[[Call], int] | None = None
    answer_to: Callable[[Call], bytes] | None = None
    """Gives the body of the answer."""
    tail: bytes = b""
    """What the answer holds beside its status."""
    is_silent: bool = False
    is_given_up: bool = False
    """Whether a caller went without the answer it waited for."""
    hears: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head)}
                call = Call(headers, await reader.readexactly(int(headers["content-length"])))
                self.calls.append(call)
                self.hears.set()
                if self.is_silent:
                    await reader.read()
                    self.is_given_up = True
                    break
                status = self.statuses.pop(0) if self.statuses else 204
                if self.status_of is not None:
                    status = self.status_of(call)
                body = self.answer_to(call) if self.answer_to is not None else b""
                tail = self.tail or f"Content-Length: {len(body)}\r\n\r\n".encode() + body
                writer.write(f"HTTP/1.1 {status} X\r\n".encode() + tail)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None, **how: Any) -> AsyncIterator[Receiver]:
    """Listen until the block ends."""
    made = Receiver(**how)
    server = await asyncio.start_server(made.take, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
