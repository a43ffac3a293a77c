"""Whether a device's certificate is revoked, asked of its CA's OCSP responder; closed without an answer."""

import asyncio
import time
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence

from muster.ca import ocspclient
from muster.core.errors import Unauthenticated, Unavailable
from muster.core.identity import TrustedCa, hono
from muster.core.model import Instant
from muster.web.outgoing import Outgoing

SECONDS = 5.0
"""For one question and its answer."""
REMEMBERED_SECONDS = 60.0
"""For how long a good answer counts: a revoked certificate is out after that at the latest."""
MOST = 16_384
_HEADERS = {"content-type": "application/ocsp-request", "accept": "application/ocsp-response"}


def asks(ca: TrustedCa) -> bool:
    """Say whether the tenant wants the CA asked."""
    return bool(hono(ca.extensions).get("ocsp-revocation-enabled"))


class Revocations:
    """Asks responders, and remembers for a minute what was good."""

    def __init__(self, outgoing: Outgoing, clock: Callable[[], Instant]) -> None:
        self._outgoing = outgoing
        self._clock = clock
        self._good: dict[tuple[str, str, str], float] = {}

    async def check(self, chain: Sequence[bytes], serial: str, ca: TrustedCa) -> None:
        """Return when the first certificate of a verified chain is good.

        Unauthenticated when it is revoked or unknown, or the answer is not to be trusted; Unavailable when
        there is none.
        """
        key = (ca.tenant_id, ca.id, serial)
        if self._good.get(key, 0.0) > time.monotonic():
            return
        kept = hono(ca.extensions)
        uri, has_nonce = kept.get("ocsp-responder-uri"), bool(kept.get("ocsp-nonce-enabled"))
        asked = ocspclient.question(chain, ca.spki_der, uri=uri, has_nonce=has_nonce)
        answer = await self._ask(asked)
        ocspclient.judge(asked, answer, _certificate(kept.get("ocsp-responder-cert")), self._clock())
        if len(self._good) >= MOST:
            self._good.clear()
        self._good[key] = time.monotonic() + REMEMBERED_SECONDS

    async def _ask(self, asked: ocspclient.Question) -> bytes:
        try:
            async with asyncio.timeout(SECONDS), self._outgoing.open() as line:
                status, body = await line.ask(asked.uri, asked.body, _HEADERS)
        except TimeoutError:
            raise Unavailable("the OCSP responder does not answer") from None
        except Unavailable as error:
            raise Unavailable(f"the OCSP responder does not answer: {error.message}") from None
        if status != 200:
            raise Unavailable(f"the OCSP responder answers {status}")
        return body


def _certificate(text: str | None) -> bytes | None:
    """Read the responder's certificate as the tenant gave it: Base64 of its DER, or PEM."""
    if text is None:
        return None
    body = "".join(line for line in text.splitlines() if "-----" not in line)
    try:
        return b64decode(body, validate=True)
    except (NotBase64, ValueError):
        raise Unauthenticated("the OCSP responder's certificate cannot be read") from None
