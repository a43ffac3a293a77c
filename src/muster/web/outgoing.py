"""Requests to places that a tenant's operator named: never into our own network unless that is allowed.

What is judged is the address that is connected to, not the name: a name may answer differently each time
(DNS rebinding). No redirects, no proxies from the environment, everything bounded.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from muster.core.errors import Unavailable
from muster.core.webhooks import is_public

if TYPE_CHECKING:
    import httpx

SECONDS = 15.0
"""For all of one request: name, connection, request and answer."""
CONNECT_SECONDS = 5.0
MOST_ADDRESSES = 4
"""Of one name, tried one after another."""
MOST_READ = 16 * 1024
"""Bytes of an answer's body; the rest is not read."""
BODY_SECONDS = 1.0
_RESOLVERS = 16
Addresses = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host that may be connected to. Unavailable when there are none."""


class Outgoing:
    """Posts to places in the internet."""

    def __init__(
        self,
        *,
        allows_private: bool,
        trust: ssl.SSLContext | None = None,
        look_up: Callable[..., Sequence[Any]] = socket.getaddrinfo,
    ) -> None:
        """Trust the public CAs, or those of *trust*; *look_up* gives what getaddrinfo does."""
        self._allows_private = allows_private
        self._look_up = look_up
        self._trust = trust
        # Names are looked up on threads of their own: one that does not answer holds up nothing else.
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="names")

    def close(self) -> None:
        """Look nothing up any more."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Line"]:
        """Give what posts to the places of one tenant, which share their connections with no other's."""
        import httpx  # noqa: PLC0415 slow, and few installations need it

        if self._trust is None:
            self._trust = httpx.create_ssl_context(trust_env=False)
        timeout = httpx.Timeout(SECONDS, connect=CONNECT_SECONDS)
        async with httpx.AsyncClient(
            verify=self._trust, timeout=timeout, follow_redirects=False, trust_env=False
        ) as client:
            yield Line(client, self._addresses)

    async def _addresses(self, host: str, port: int) -> list[str]:
        ask = partial(self._look_up, host, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._resolvers, ask)
        except (OSError, UnicodeError):
            raise Unavailable("the name has no address") from None
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        good = [each for each in addresses if self._allows_private or is_public(ipaddress.ip_address(each))]
        if not good:
            raise Unavailable("the address is not a public one")
        return good[:MOST_ADDRESSES]


class Line:
    """Posts, over connections that are kept for a while."""

    def __init__(self, client: "httpx.AsyncClient", addresses: Addresses) -> None:
        self._client = client
        self._addresses = addresses

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Give the status of the answer. Unavailable when none came, with a reason that holds no secret."""
        return (await self.ask(url, body, headers))[0]

    async def ask(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Do as post; give status and body, of which at most MOST_READ bytes are read."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._ask(url, body, headers)
        except TimeoutError:
            raise Unavailable("no answer in time") from None

    async def _ask(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        import httpx  # noqa: PLC0415

        place = httpx.URL(url)
        port = place.port or (443 if place.scheme == "https" else 80)
        said = {**headers, "Host": place.netloc.decode("ascii")}
        last = "no connection"
        for address in await self._addresses(place.host, port):
            # The address that was judged is the one that is connected to; TLS still asks for the name.
            request = self._client.build_request(
                "POST",
                place.copy_with(host=address),
                content=body,
                headers=said,
                extensions={**self._extensions(), "sni_hostname": place.host},
            )
            try:
                return await self._exchange(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = _reason(error)
            except httpx.HTTPError as error:
                raise Unavailable(_reason(error)) from None
        raise Unavailable(last)

    def _extensions(self) -> dict[str, dict[str, float | None]]:
        return {"timeout": self._client.timeout.as_dict()}

    async def _exchange(self, request: "httpx.Request") -> tuple[int, bytes]:
        answer = await self._client.send(request, stream=True)
        try:
            return answer.status_code, await _body(answer)
        finally:
            await answer.aclose()


async def _body(answer: "httpx.Response") -> bytes:
    """Read a short body, so that the connection can be used again; the status is known without it."""
    import httpx  # noqa: PLC0415

    read = b""
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(BODY_SECONDS):
            async for part in answer.aiter_raw():
                read += part
                if len(read) > MOST_READ:
                    break
    return read[:MOST_READ]


def _reason(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        cause = cause.__cause__ or cause.__context__
    return {"ConnectError": "no connection", "ConnectTimeout": "no connection in time"}.get(
        type(error).__name__, "the connection failed"
    )
