"""The operations of EST that simple clients use: cacerts, simpleenroll, simplereenroll, csrattrs."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass

from litestar import get, post

from muster.core import pki
from muster.core.certificates import Certificate, CertificateRequest, Shown
from muster.core.errors import Malformed, NotFound, TooLarge, Unauthenticated
from muster.core.keyholders import Pki, Signer
from muster.core.model import Device, Secret
from muster.core.ports import Tx
from muster.core.throttle import Throttle
from muster.dialects.est.problems import NotSecure, problem
from muster.web import auth
from muster.web.app import Dialect
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.issuing import issuing
from muster.web.request import incoming

CERTS = "application/pkcs7-mime; smime-type=certs-only"
ATTRIBUTES = "application/csrattrs"
_BASE64 = {"Content-Transfer-Encoding": "base64"}
_PUBLIC = {"public": True, "content_type": "any"}
_MOST_BODY = 32 * 1024
_MOST_COLONS = 16
"""External ids may contain colons, though the user's part of Basic may not: each one may be the divider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Est:
    """Given by assembly; handlers get it as the dependency named `est`."""

    pki: Pki
    throttle: Throttle
    ttl_seconds: int


Proof = Shown | tuple[tuple[str, Secret], ...]
"""A verified certificate, or what external id and key may be."""


def _pairs(encoded: str) -> tuple[tuple[str, Secret], ...]:
    try:
        parts = b64decode(encoded, validate=True).decode().split(":")
    except (Base64Error, ValueError):
        return ()
    places = range(len(parts) - 1, 0, -1)[:_MOST_COLONS]
    return tuple((":".join(parts[:place]), Secret(":".join(parts[place:]))) for place in places)


async def _proof(request: AnyRequest, est: Est) -> Proof:
    mine = incoming(request)
    if mine.scope["scheme"] != "https":
        raise NotSecure
    scheme, encoded = auth.scheme_and_rest(mine.field(b"authorization"))
    if scheme == "basic":
        return _pairs(encoded)
    if not mine.client_chain:
        raise Unauthenticated
    return await est.pki.verify(mine.client_chain)


def _attempts(request: AnyRequest) -> list[tuple[str, str, str]]:
    """Name the guesses a request makes: one for each external id it may mean, from where it comes.

    A certificate is no guess; so a device that shows a bad one holds up no other of its network.
    """
    mine = incoming(request)
    scheme, encoded = auth.scheme_and_rest(mine.field(b"authorization"))
    return [("est", name, mine.source) for name, _ in (_pairs(encoded) if scheme == "basic" else ())]


def _device(tx: Tx, proof: Proof) -> Device:
    if isinstance(proof, Shown):
        return pki.enrolled(tx, proof)
    return pki.enrolling(tx, proof)


def _enrol(tx: Tx, proof: Proof, asked: CertificateRequest, signer: Signer) -> Certificate:
    device = _device(tx, proof)
    return pki.renew_by_device(tx, device.tenant_id, device.id, asked, signer)


def _csr(body: bytes) -> str:
    if len(body) > _MOST_BODY:
        raise TooLarge
    if not body.strip():
        raise Malformed("the signing request is missing")
    return b64encode(body).decode() if body.startswith(b"\x30") else body.decode("ascii", "replace")


async def _issue(request: AnyRequest, desk: Desk, est: Est, body: bytes) -> Rendered[bytes]:
    attempts = _attempts(request)
    for attempt in attempts:
        est.throttle.check(attempt, desk.clock())
    asked = CertificateRequest(ttl_seconds=est.ttl_seconds, csr=_csr(body))

    def shown(made: Certificate) -> Reply:
        return Reply(body=est.pki.certs_only(made.certificate), headers=_BASE64, media_type=CERTS)

    async def issue(signer: Signer) -> Rendered[bytes]:
        return await desk.run_open(request, _enrol, proof, asked, signer, reply=shown)

    try:
        proof = await _proof(request, est)
        return await issuing(est.pki, issue)
    except (Unauthenticated, NotFound):
        for attempt in attempts:
            est.throttle.failed(attempt, desk.clock())
        raise Unauthenticated from None


@get("/.well-known/est/cacerts", operation_id="cacerts", opt=_PUBLIC)
async def cacerts(desk: Desk, est: Est) -> Rendered[bytes]:
    """Give the CA certificates to trust."""
    found = est.pki.certs_only(await est.pki.bundle())
    return desk.answer(Reply(body=found, headers=_BASE64, media_type=CERTS))


@get("/.well-known/est/csrattrs", operation_id="csrattrs", opt=_PUBLIC)
async def csrattrs(desk: Desk, est: Est) -> Rendered[bytes]:
    """Say what a signing request should contain."""
    return desk.answer(Reply(body=est.pki.csr_attributes(), headers=_BASE64, media_type=ATTRIBUTES))


@post("/.well-known/est/simpleenroll", operation_id="simpleenroll", status_code=200, opt=_PUBLIC)
async def simpleenroll(request: AnyRequest, data: bytes, desk: Desk, est: Est) -> Rendered[bytes]:
    """Issue a certificate to a device that shows one, or its external id and key (HTTP Basic)."""
    return await _issue(request, desk, est, data)


@post("/.well-known/est/simplereenroll", operation_id="simplereenroll", status_code=200, opt=_PUBLIC)
async def simplereenroll(request: AnyRequest, data: bytes, desk: Desk, est: Est) -> Rendered[bytes]:
    """Issue a successor; the old certificate stays good until it expires or is revoked."""
    return await _issue(request, desk, est, data)


def dialect(est: Est) -> Dialect:
    """Give the door."""
    return Dialect(
        name="est",
        title="Muster: EST",
        handlers=[cacerts, csrattrs, simpleenroll, simplereenroll],
        given={"est": est},
        problem=problem,
    )
