"""What the CA says to everybody (revocation lists, OCSP, its certificates), and how admins care for it."""

import io
import zipfile
from base64 import b64decode, encodebytes
from binascii import Error as Base64Error
from email.utils import formatdate
from functools import partial

import msgspec
from litestar import get, post

from muster.core import pki
from muster.core.certificates import AuthorityView, RevocationList
from muster.core.errors import Malformed, Unavailable
from muster.core.keyholders import Pki
from muster.dialects.magistrala import wire
from muster.dialects.magistrala.options import Options
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.request import incoming, path_text
from muster.web.wire import raw, rfc3339

CRL, OCSP, CERT = "application/pkix-crl", "application/ocsp-response", "application/pkix-cert"
PEM, ZIP = "application/x-pem-file", "application/zip"
_PUBLIC = {"public": True, "content_type": "any"}
_MOST_GET = 4096


class Question(wire.In, kw_only=True):
    """Which certificate is asked about: by serial (hex) or as PEM."""

    serial_number: str | None = None
    certificate: str | None = None


class CaOut(msgspec.Struct, kw_only=True):
    """The CA that signs, and what verifies everything it signed."""

    certificate: str
    ca_bundle: str
    serial_number: str = ""
    expiry_time: str
    issuer_id: str


class AuthorityOut(msgspec.Struct, kw_only=True):
    """A CA of the installation."""

    id: str
    role: str
    subject: str
    not_before: str
    not_after: str
    is_current: bool
    certificate: str


class Authorities(msgspec.Struct, kw_only=True):
    """All CAs, the newest first."""

    authorities: list[AuthorityOut]


class Rollover(wire.In, kw_only=True):
    """Whether a new root is wanted too."""

    root: bool = False


class Import(wire.In, kw_only=True):
    """An existing CA: its certificate and those above it, and its key, PEM."""

    certificates: str
    key: str
    password: str | None = None


def ca_of(options: Options) -> Pki:
    """Give the CA; Unavailable without one."""
    if options.pki is None:
        raise Unavailable("there is no CA")
    return options.pki


def as_pem(label: str, der: bytes) -> bytes:
    """Write DER as PEM."""
    return f"-----BEGIN {label}-----\n".encode() + encodebytes(der) + f"-----END {label}-----\n".encode()


# --- revocation lists ----------------------------------------------------------------------------------


async def _list(request: AnyRequest, desk: Desk, options: Options, issuer: str | None) -> Rendered[bytes]:
    found = await ca_of(options).revocation_list(issuer)
    mine = incoming(request)
    is_pem = _wants_pem(request)
    etag = found.etag if not is_pem else f'{found.etag[:-1]}-pem"'
    headers = {
        "ETag": etag,
        "Last-Modified": formatdate(found.this_update / 1_000_000, usegmt=True),
        "Cache-Control": f"public, max-age={_max_age(found, desk)}",
    }
    known = [each.strip().removeprefix("W/") for each in mine.field(b"if-none-match").split(",")]
    if etag in known or "*" in known:
        return desk.answer(Reply(status=304, headers=headers))
    body = as_pem("X509 CRL", found.der) if is_pem else found.der
    return desk.answer(Reply(body=body, headers=headers, media_type=PEM if is_pem else CRL))


def _max_age(found: RevocationList, desk: Desk) -> int:
    """A minute: a list is signed anew as soon as something was revoked."""
    return max(0, min(60, (found.next_update - desk.clock()) // 1_000_000))


def _wants_pem(request: AnyRequest) -> bool:
    wanted = raw(request, "format")
    if wanted not in (None, "pem", "der"):
        raise Malformed("the format is pem or der")
    accepted = incoming(request).field(b"accept")
    return wanted == "pem" or (wanted is None and (PEM in accepted or "text/plain" in accepted))


@get("/certs/crl", operation_id="getCrl", media_type=f"{CRL}, {PEM}", opt={**_PUBLIC, "query": ("format",)})
async def get_crl(request: AnyRequest, desk: Desk, options: Options) -> Rendered[bytes]:
    """Give the revocation list of the CA that signs: DER, or PEM with `format=pem`."""
    return await _list(request, desk, options, None)


@get(
    "/certs/crl/{issuer:str}",
    operation_id="getCrlOf",
    media_type=f"{CRL}, {PEM}",
    opt={**_PUBLIC, "query": ("format",)},
)
async def get_crl_of(request: AnyRequest, issuer: str, desk: Desk, options: Options) -> Rendered[bytes]:
    """Give the revocation list of one CA, as its certificates name it."""
    return await _list(request, desk, options, issuer)


# --- OCSP ----------------------------------------------------------------------------------------------


@post("/certs/ocsp", operation_id="askOcsp", media_type=OCSP, status_code=200, opt=_PUBLIC)
async def ask_ocsp(request: AnyRequest, data: bytes, desk: Desk, options: Options) -> Rendered[bytes]:
    """Say whether a certificate is revoked (RFC 6960): DER, or JSON with `serial_number` or `certificate`."""
    if b"application/json" in incoming(request).fields.get(b"content-type", b""):
        return await _ocsp_of_json(data, desk, options)
    answer = await ca_of(options).ocsp(data)
    return desk.answer(Reply(body=answer, media_type=OCSP))


async def _ocsp_of_json(data: bytes, desk: Desk, options: Options) -> Rendered[bytes]:
    try:
        asked = msgspec.json.decode(data, type=Question)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("expected serial_number or certificate") from None
    named = asked.certificate or (asked.serial_number or "").lower().replace(":", "")
    if not named:
        raise Malformed("expected serial_number or certificate")
    answer = await ca_of(options).ocsp_of(named)
    return desk.answer(Reply(body=answer, media_type=OCSP))


@get("/certs/ocsp/{question:path}", operation_id="getOcsp", media_type=OCSP, opt=_PUBLIC)
async def get_ocsp(request: AnyRequest, question: str, desk: Desk, options: Options) -> Rendered[bytes]:
    """Say the same to a GET (RFC 6960, A.1): the question in Base64 is the end of the path."""
    path = incoming(request).scope.get("raw_path") or question.encode()
    encoded = path_text(path.partition(b"/certs/ocsp/")[2])
    if len(encoded) > _MOST_GET:
        raise Malformed("the question is too long")
    try:
        asked = b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        asked = b""
    answer = await ca_of(options).ocsp(asked)
    return desk.answer(Reply(body=answer, media_type=OCSP, headers={"Cache-Control": "max-age=60"}))


# --- the CA's certificates -----------------------------------------------------------------------------


@get("/certs/ca/{issuer:str}", operation_id="getCa", media_type=CERT, opt=_PUBLIC)
async def get_ca(issuer: str, desk: Desk, options: Options) -> Rendered[bytes]:
    """Give one CA's certificate as DER, as the certificates below it name it."""
    return desk.answer(Reply(body=await ca_of(options).authority(issuer), media_type=CERT))


@get("/certs/view-ca", operation_id="viewCa", opt=_PUBLIC)
async def view_ca(desk: Desk, options: Options) -> Rendered[CaOut]:
    """Show the CA that signs, and the bundle to trust."""
    ca = ca_of(options)
    current = next((each for each in await ca.authorities() if each.is_current), None)
    if current is None:
        raise Unavailable("no CA signs at this time")
    body = CaOut(
        certificate=current.certificate,
        ca_bundle=ca.ca_bundle,
        expiry_time=rfc3339(current.not_after),
        issuer_id=current.id,
    )
    return desk.answer(Reply(body=body))


@get(
    "/certs/download-ca",
    operation_id="downloadCa",
    media_type=f"{ZIP}, {PEM}",
    opt={**_PUBLIC, "query": ("format",)},
)
async def download_ca(request: AnyRequest, desk: Desk, options: Options) -> Rendered[bytes]:
    """Give the bundle to trust as PEM, or zipped with `format=zip`."""
    wanted = raw(request, "format")
    if wanted not in (None, "pem", "zip"):
        raise Malformed("the format is pem or zip")
    bundle = (await ca_of(options).bundle()).encode()
    if not bundle:
        raise Unavailable("there is no CA")
    name = "ca.zip" if wanted == "zip" else "ca.crt"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if wanted != "zip":
        return desk.answer(Reply(body=bundle, headers=headers, media_type=PEM))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ca.crt", bundle)
    return desk.answer(Reply(body=packed.getvalue(), headers=headers, media_type=ZIP))


# --- care ----------------------------------------------------------------------------------------------


def _shown(found: list[AuthorityView]) -> Authorities:
    return Authorities(
        authorities=[
            AuthorityOut(
                id=each.id,
                role=each.role,
                subject=each.subject,
                not_before=rfc3339(each.not_before),
                not_after=rfc3339(each.not_after),
                is_current=each.is_current,
                certificate=each.certificate,
            )
            for each in found
        ]
    )


def _changed(found: list[AuthorityView]) -> Reply:
    return Reply(status=201, body=_shown(found))


def _nothing(_: None) -> Reply:
    return Reply()


@get("/certs/authorities", operation_id="listAuthorities")
async def list_authorities(request: AnyRequest, desk: Desk, options: Options) -> Rendered[Authorities]:
    """Show all CAs; admins only."""
    await desk.read(request, pki.require_admin, reply=_nothing)
    return desk.answer(Reply(body=_shown(await ca_of(options).authorities())))


@post("/certs/authorities/rollover", operation_id="rollOver", status_code=201)
async def roll_over(
    request: AnyRequest, desk: Desk, options: Options, data: Rollover | None = None
) -> Rendered[Authorities]:
    """Sign with a new CA from now on; what the old ones signed stays good. Admins only."""
    ca = ca_of(options)
    change = partial(ca.roll_over, with_root=(data or Rollover()).root)
    answer = await desk.run(request, pki.change_authorities, "certificate.rollover", change, reply=_changed)
    await ca.authorities()
    return answer


@post("/certs/authorities/import", operation_id="importAuthority", status_code=201)
async def import_authority(
    request: AnyRequest, data: Import, desk: Desk, options: Options
) -> Rendered[Authorities]:
    """Sign with an existing CA from now on; admins only."""
    ca = ca_of(options)
    change = partial(ca.take_over, certificates=data.certificates, key=data.key, password=data.password)
    answer = await desk.run(request, pki.change_authorities, "certificate.import", change, reply=_changed)
    await ca.authorities()
    return answer


HANDLERS = [
    get_crl,
    get_crl_of,
    ask_ocsp,
    get_ocsp,
    get_ca,
    view_ca,
    download_ca,
    list_authorities,
    roll_over,
    import_authority,
]
