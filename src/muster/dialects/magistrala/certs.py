"""Certificates of clients (spec A.8): upstream's service of 2025, and the newer forms beside it."""

from datetime import UTC, datetime

from litestar import delete, get, patch, post

from muster.core import pki
from muster.core.access import Caller
from muster.core.certificates import Certificate, CertificateRequest
from muster.core.errors import Malformed
from muster.core.keyholders import Signer
from muster.core.model import Device, Instant, TenantId
from muster.core.pki import Receipt
from muster.core.ports import Before, Condition, Is, Not, Page, Tx
from muster.dialects.magistrala.options import Options
from muster.dialects.magistrala.wire.certs import (
    CertificateOut,
    CertificatePage,
    Issue,
    NewCertificate,
    Renew,
    Revoked,
    SerialPage,
    Sign,
    asked_for,
    out,
    receipt,
)
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.issuing import issuing
from muster.web.wire import number, raw, text, window

# --- issuing -------------------------------------------------------------------------------------------


async def _issue(
    request: AnyRequest,
    desk: Desk,
    options: Options,
    client: tuple[str, str],
    asked: CertificateRequest,
    *,
    status: int,
    shows_key: bool,
) -> Rendered[CertificateOut]:
    domain, client_id = client

    def shown(made: Certificate) -> Reply:
        return Reply(status=status, body=out(made, shows_key=shows_key))

    async def attempt(signer: Signer) -> Rendered[CertificateOut]:
        return await desk.run(request, pki.issue, TenantId(domain), client_id, asked, signer, reply=shown)

    return await issuing(options.pki, attempt)


@post("/{domain:str}/certs", operation_id="issueCert", status_code=201, opt={"content_type": "exact"})
async def issue_cert(
    request: AnyRequest, domain: str, data: NewCertificate, desk: Desk, options: Options
) -> Rendered[CertificateOut]:
    """Issue a certificate; its key is shown by the view of it."""
    if not data.client_id:
        raise Malformed("missing client id")
    asked = asked_for(options, ttl=data.ttl, key_type=data.key_type, key_bits=data.key_bits, csr=data.csr)
    client = (domain, data.client_id)
    return await _issue(request, desk, options, client, asked, status=201, shows_key=False)


@post("/{domain:str}/certs/issue/{client:str}", operation_id="issueCertFor", status_code=201)
async def issue_cert_for(
    request: AnyRequest, domain: str, client: str, data: Issue, desk: Desk, options: Options
) -> Rendered[CertificateOut]:
    """Issue a certificate and show its key."""
    dns_names = (data.options.dns_names if data.options is not None else None) or []
    asked = asked_for(
        options,
        ttl=data.ttl,
        key_type=data.key_type,
        key_bits=data.key_bits,
        csr=data.csr,
        names=(*dns_names, *(data.ip_addresses or [])),
    )
    return await _issue(request, desk, options, (domain, client), asked, status=201, shows_key=True)


@post("/{domain:str}/certs/csrs/{client:str}", operation_id="signCsr", status_code=200)
async def sign_csr(
    request: AnyRequest, domain: str, client: str, data: Sign, desk: Desk, options: Options
) -> Rendered[CertificateOut]:
    """Sign the key of a signing request; its names and usages are not looked at."""
    if not data.csr:
        raise Malformed("missing csr")
    asked = asked_for(options, ttl=data.ttl or raw(request, "ttl"), csr=data.csr)
    return await _issue(request, desk, options, (domain, client), asked, status=200, shows_key=False)


async def _renew(
    request: AnyRequest, domain: str, serial: str, data: Renew | None, desk: Desk, options: Options
) -> Rendered[CertificateOut]:
    wanted = data or Renew()
    asked = asked_for(
        options, ttl=wanted.ttl, key_type=wanted.key_type, key_bits=wanted.key_bits, csr=wanted.csr
    )

    def shown(made: Certificate) -> Reply:
        return Reply(body=out(made, shows_key=True))

    async def attempt(signer: Signer) -> Rendered[CertificateOut]:
        return await desk.run(request, pki.renew, TenantId(domain), serial, asked, signer, reply=shown)

    return await issuing(options.pki, attempt)


@patch("/{domain:str}/certs/{serial:str}/renew", operation_id="renewCert")
async def renew_cert(
    request: AnyRequest,
    domain: str,
    serial: str,
    desk: Desk,
    options: Options,
    data: Renew | None = None,
) -> Rendered[CertificateOut]:
    """Issue a successor; the old one stays good until it expires or is revoked."""
    return await _renew(request, domain, serial, data, desk, options)


@post("/{domain:str}/certs/{serial:str}/renew", operation_id="renewCertByPost", status_code=200)
async def renew_cert_by_post(
    request: AnyRequest,
    domain: str,
    serial: str,
    desk: Desk,
    options: Options,
    data: Renew | None = None,
) -> Rendered[CertificateOut]:
    """Issue a successor; the old one stays good until it expires or is revoked."""
    return await _renew(request, domain, serial, data, desk, options)


# --- reading -------------------------------------------------------------------------------------------


@get("/{domain:str}/certs/{serial:str}", operation_id="viewCert")
async def view_cert(request: AnyRequest, domain: str, serial: str, desk: Desk) -> Rendered[CertificateOut]:
    """Show a certificate; with its key to whoever may change the client."""

    def shown(found: Certificate) -> Reply:
        return Reply(body=out(found, shows_key=True))

    return await desk.read(request, pki.view_whole, TenantId(domain), serial, reply=shown)


_REVOKED: dict[str, tuple[Condition, ...]] = {
    "false": (Is("revoked_at", 0),),
    "true": (Not("revoked_at", 0),),
    "all": (),
}


@get(
    "/{domain:str}/serials/{client:str}",
    operation_id="listSerials",
    opt={"query": ("offset", "limit", "revoked")},
)
async def list_serials(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[SerialPage]:
    """List a client's certificates; those not revoked unless asked otherwise."""
    asked, wanted = window(request), raw(request, "revoked") or "false"
    if wanted not in _REVOKED:
        raise Malformed("invalid revoked filter")

    def shown(page: Page[Certificate]) -> Reply:
        certs = [out(c, is_short=True) for c in page.items]
        body = SerialPage(total=page.total, offset=asked.offset, limit=asked.limit or 0, certs=certs)
        return Reply(body=body)

    args = (TenantId(domain), client, *_REVOKED[wanted])
    return await desk.read(request, pki.of_device, *args, window=asked, reply=shown)


@get(
    "/{domain:str}/certs",
    operation_id="listCerts",
    opt={"query": ("offset", "limit", "entity_id", "expires_before", "revoked")},
)
async def list_certs(request: AnyRequest, domain: str, desk: Desk) -> Rendered[CertificatePage]:
    """List certificates, the first to expire first; `expires_before`: a time (RFC 3339)."""
    asked = window(request)
    wanted = raw(request, "revoked") or "all"
    if wanted not in _REVOKED:
        raise Malformed("invalid revoked filter")
    conditions = list(_REVOKED[wanted])
    client, before = text(request, "entity_id"), raw(request, "expires_before")
    if client is not None:
        conditions.append(Is("device_id", client))
    if before:
        conditions.append(Before("not_after", _instant(before)))

    def shown(page: Page[Certificate]) -> Reply:
        found = [out(c) for c in page.items]
        limit, offset = asked.limit or 0, asked.offset
        return Reply(body=CertificatePage(total=page.total, offset=offset, limit=limit, certificates=found))

    return await desk.read(
        request, pki.list_certificates, TenantId(domain), *conditions, window=asked, reply=shown
    )


def _instant(value: str) -> Instant:
    try:
        at = datetime.fromisoformat(value.replace(" ", "+"))
    except ValueError:
        raise Malformed("expires_before is a time such as 2026-12-31T00:00:00Z") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return Instant(int(at.timestamp() * 1_000_000))


# --- revoking ------------------------------------------------------------------------------------------


def _revoke(tx: Tx, caller: Caller, tenant: TenantId, named: str, reason: int) -> Receipt:
    """Revoke all certificates of a client (the id is really the client's), or the one of a serial."""
    if tx.get(Device, tenant, named) is not None:
        return pki.revoke_device(tx, caller, tenant, named, reason)
    return pki.revoke(tx, caller, tenant, named, reason)


def _receipt(done: Receipt) -> Reply:
    return Reply(body=receipt(done))


def _no_content(_: Receipt) -> Reply:
    return Reply(status=204)


def _reason(request: AnyRequest) -> int:
    return number(request, "reason") or 0


@delete(
    "/{domain:str}/certs/{named:str}",
    operation_id="revokeCert",
    status_code=200,
    opt={"query": ("reason",)},
)
async def revoke_cert(request: AnyRequest, domain: str, named: str, desk: Desk) -> Rendered[Revoked]:
    """Revoke all certificates of a client, or one by its serial; the answer says what takes effect when."""
    args = (TenantId(domain), named, _reason(request))
    return await desk.run(request, _revoke, *args, reply=_receipt)


@patch(
    "/{domain:str}/certs/{serial:str}/revoke",
    operation_id="revokeCertBySerial",
    status_code=204,
    opt={"query": ("reason",)},
)
async def revoke_by_serial(request: AnyRequest, domain: str, serial: str, desk: Desk) -> Rendered[None]:
    """Revoke one certificate."""
    args = (TenantId(domain), serial, _reason(request))
    return await desk.run(request, pki.revoke, *args, reply=_no_content)


@delete(
    "/{domain:str}/certs/{client:str}/delete",
    operation_id="revokeCertsOfClient",
    status_code=204,
    opt={"query": ("reason",)},
)
async def revoke_of_client(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[None]:
    """Revoke all certificates of a client."""
    args = (TenantId(domain), client, _reason(request))
    return await desk.run(request, pki.revoke_device, *args, reply=_no_content)


HANDLERS = [
    issue_cert,
    issue_cert_for,
    sign_csr,
    renew_cert,
    renew_cert_by_post,
    view_cert,
    list_serials,
    list_certs,
    revoke_cert,
    revoke_by_serial,
    revoke_of_client,
]
