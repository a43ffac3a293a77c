"""Certificates of things (spec B.6): the keys of the seed's reply and those of the clients, side by side."""

import msgspec
from litestar import delete, get, post

from muster.core import pki
from muster.core.access import Caller
from muster.core.certificates import Certificate, CertificateRequest
from muster.core.errors import Malformed, NotFound
from muster.core.keyholders import Signer
from muster.core.layout import KeyType
from muster.core.model import Device
from muster.core.pki import Receipt
from muster.core.ports import Page, Tx, Window
from muster.dialects.mainflux import queries, wire
from muster.dialects.mainflux.options import Options
from muster.dialects.mainflux.places import home, tenant_of
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.issuing import issuing
from muster.web.wire import rfc3339, seconds, window

_END = "-----END CERTIFICATE-----\n"


class NewCertificate(wire.In, kw_only=True):
    """A certificate to be issued, in the words of any release."""

    thing_id: str | None = None
    key_type: str | None = None
    key_bits: int | None = None
    rsa_bits: int | None = None
    valid: str | None = None
    days_valid: str | int | None = None
    csr: str | None = None
    """Ours: a signing request; then no key is made here."""


class Revocation(wire.In, kw_only=True):
    """Whose certificates end."""

    thing_id: str | None = None


class CertificateOut(msgspec.Struct, kw_only=True):
    """A certificate: first as clients read it, then as the seed shows it."""

    thing_id: str
    cert: str
    cert_key: str
    cert_serial: str
    ca_cert: str
    expire: str
    seed_thing_id: str = msgspec.field(name="ThingID")
    client_cert: str = msgspec.field(name="ClientCert")
    issuing_ca: str = msgspec.field(name="IssuingCA")
    ca_chain: list[str] = msgspec.field(name="CAChain")
    client_key: str = msgspec.field(name="ClientKey")
    private_key_type: str = msgspec.field(name="PrivateKeyType")
    serial: str = msgspec.field(name="Serial")
    seed_expire: str = msgspec.field(name="Expire")


class ListedCertificate(msgspec.Struct, kw_only=True):
    """A certificate in a list; its key was shown when it was made."""

    thing_id: str
    cert_serial: str
    cert: str
    expire: str
    revoked: bool


class CertificatePage(msgspec.Struct, kw_only=True):
    """A window of a thing's certificates."""

    total: int
    offset: int
    limit: int
    certs: list[ListedCertificate]


class Revoked(msgspec.Struct, kw_only=True):
    """When it happened."""

    revocation_time: str = msgspec.field(name="RevocationTime")


def _asked(data: NewCertificate, options: Options) -> CertificateRequest:
    bits = data.key_bits or data.rsa_bits
    default = "rsa" if data.rsa_bits or (bits or 0) >= 1024 else "ec"
    try:
        kind = KeyType((data.key_type or default).lower().replace("ecdsa", "ec"))
    except ValueError:
        raise Malformed("there is no such kind of key") from None
    return CertificateRequest(
        ttl_seconds=_lifetime(data, options),
        key_type=kind,
        key_bits=bits or (2048 if kind is KeyType.RSA else 256),
        csr=data.csr or "",
    )


def _lifetime(data: NewCertificate, options: Options) -> int:
    if data.valid:
        return seconds(data.valid)
    if data.days_valid is None or data.days_valid == "":
        return int(options.layout.certificate_ttl_hours * 3600)
    days = str(data.days_valid)
    if days.isascii() and days.isdigit() and len(days) < 8:
        return int(days) * 86_400
    return seconds(days)


def _issue(tx: Tx, caller: Caller, thing: str, asked: CertificateRequest, signer: Signer) -> Certificate:
    tenant = tenant_of(tx, caller, Device, thing)
    return pki.issue(tx, caller, tenant, thing, asked, signer)


def out(made: Certificate, asked: CertificateRequest, bundle: str) -> CertificateOut:
    """Show a certificate with its key."""
    key = made.key.reveal() if made.key is not None else ""
    chain = [part + _END for part in made.chain.split(_END) if part.strip()]
    expire = rfc3339(made.not_after)
    return CertificateOut(
        thing_id=made.device_id,
        cert=made.certificate,
        cert_key=key,
        cert_serial=made.id,
        ca_cert=bundle,
        expire=expire,
        seed_thing_id=made.device_id,
        client_cert=made.certificate,
        issuing_ca=chain[0] if chain else bundle,
        ca_chain=chain,
        client_key=key,
        private_key_type=asked.key_type.value if key else "",
        serial=made.id,
        seed_expire=expire,
    )


@post("/certs", operation_id="issueCert", status_code=201, opt={"errors": (NotFound,)})
async def issue_cert(
    request: AnyRequest, data: NewCertificate, desk: Desk, options: Options
) -> Rendered[CertificateOut]:
    """Issue a certificate; its key is shown now and never again."""
    if not data.thing_id:
        raise Malformed("missing thing id")
    thing, asked = data.thing_id, _asked(data, options)

    async def attempt(signer: Signer) -> Rendered[CertificateOut]:
        def shown(made: Certificate) -> Reply:
            return Reply(status=201, body=out(made, asked, signer.ca_bundle))

        return await desk.run(request, _issue, thing, asked, signer, reply=shown)

    return await issuing(options.pki, attempt)


def _listed(tx: Tx, caller: Caller, thing: str, part: Window) -> Page[Certificate]:
    return pki.of_device(tx, caller, tenant_of(tx, caller, Device, thing), thing, window=part)


@get("/certs/{thing:str}", operation_id="listCerts", status_code=201, opt={"query": queries.PAGE})
async def list_certs(request: AnyRequest, thing: str, desk: Desk) -> Rendered[CertificatePage]:
    """List a thing's certificates. The status is upstream's."""
    part = window(request, queries.LIST)

    def shown(page: Page[Certificate]) -> Reply:
        certs = [
            ListedCertificate(
                thing_id=c.device_id,
                cert_serial=c.id,
                cert=c.certificate,
                expire=rfc3339(c.not_after),
                revoked=bool(c.revoked_at),
            )
            for c in page.items
        ]
        body = CertificatePage(total=page.total, offset=part.offset, limit=part.limit or 0, certs=certs)
        return Reply(status=201, body=body)

    return await desk.read(request, _listed, thing, part, reply=shown)


def _revoke(tx: Tx, caller: Caller, named: str) -> Receipt:
    """Revoke all certificates of a thing (the id is really the thing's), or the one of a serial."""
    tenant = tenant_of(tx, caller, Device, named)
    if tx.get(Device, tenant, named) is not None:
        return pki.revoke_device(tx, caller, tenant, named)
    return pki.revoke(tx, caller, home(caller), named)


def _revoked(done: Receipt) -> Reply:
    return Reply(body=Revoked(revocation_time=rfc3339(done.revoked_at)))


@delete("/certs/revoke", operation_id="revokeCerts", status_code=200, opt={"errors": (NotFound,)})
async def revoke_by_body(request: AnyRequest, data: Revocation, desk: Desk) -> Rendered[Revoked]:
    """Revoke all certificates of the thing in the body."""
    if not data.thing_id:
        raise Malformed("missing thing id")
    return await desk.run(request, _revoke, data.thing_id, reply=_revoked)


@delete("/certs/{named:str}", operation_id="revokeCert", status_code=200)
async def revoke_cert(request: AnyRequest, named: str, desk: Desk) -> Rendered[Revoked]:
    """Revoke all certificates of a thing, or one by its serial."""
    return await desk.run(request, _revoke, named, reply=_revoked)


HANDLERS = [issue_cert, list_certs, revoke_by_body, revoke_cert]
