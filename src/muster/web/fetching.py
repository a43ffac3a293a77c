"""A device's fetch of its bootstrap configuration: who is let in, and how guessing is slowed down."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from muster.core import bootstrap
from muster.core.bootstrap import Served
from muster.core.errors import Forbidden, MusterError, NotFound
from muster.core.keyholders import Pki
from muster.core.model import Secret
from muster.core.throttle import Throttle
from muster.web import auth
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.request import incoming


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """How one dialect's devices fetch."""

    throttle: Throttle
    pki: Pki | None
    """Verifies the certificates that devices show instead of a key; None: there are none."""
    missing: MusterError
    """What is said to a device that shows nothing."""
    reads_key: Callable[[str], str] = str
    """Makes the external key of what was sent; raises Forbidden for what it cannot read."""


async def fetch(
    request: AnyRequest, external_id: str, desk: Desk, how: Fetch, reply: Callable[[Served, str], Reply]
) -> Rendered[Any]:
    """Answer a device with *reply*, which gets its configuration and the CA bundle, empty without a CA.

    Failures are slowed down per external id and source, whatever their reason: TooMany. Forbidden and
    NotFound as core/bootstrap says, Unauthenticated for a bad certificate, *how.missing* for nothing shown.
    """
    external_id = external_id.removeprefix("/")
    mark = ("bootstrap", external_id, request.client.host if request.client else "")
    how.throttle.check(mark, desk.clock())
    bundle = how.pki.ca_bundle if how.pki is not None else ""

    def shown(view: Served) -> Reply:
        return reply(view, bundle)

    try:
        chain = incoming(request).client_chain
        if chain and how.pki is not None and not auth.has_token(request):
            known = await how.pki.verify(chain)
            return await desk.read_open(
                request, bootstrap.fetch_by_certificate, external_id, known, reply=shown
            )
        sent = auth.device_key(request)
        if not sent:
            raise how.missing
        key = Secret(how.reads_key(sent))
        return await desk.read_open(request, bootstrap.fetch, external_id, key, reply=shown)
    except (Forbidden, NotFound):
        how.throttle.failed(mark, desk.clock())
        raise
