"""How a device is named in its certificate, and which names an operator may put into one."""

import re
from collections.abc import Iterable
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.x509.oid import NameOID

from muster.core.errors import Malformed

MAX_NAME = 64
"""The upper bound of common and organization names (RFC 5280, appendix A.1), in bytes of UTF-8."""

# A URN would be the obvious form, but linters (pkilint) take only URLs with a dotted host for valid.
# `.internal` is reserved for private use and resolves nowhere.
_IDENTITY = re.compile(r"https://muster\.internal/([^/]+)/devices/([^/]+)")


def device_uri(tenant_id: str, device_id: str) -> str:
    """Give the SAN URI that is a device's identity: `https://muster.internal/<tenant>/devices/<id>`.

    Tenant and id are percent-encoded (RFC 3986). It is a name; nothing answers there.
    """
    return f"https://muster.internal/{quote(tenant_id, safe='')}/devices/{quote(device_id, safe='')}"


def read_device_uri(uri: str) -> tuple[str, str] | None:
    """Give the tenant and device a SAN URI names; None if it is not exactly what device_uri writes."""
    match = _IDENTITY.fullmatch(uri)
    if match is None:
        return None
    tenant_id, device_id = unquote(match[1]), unquote(match[2])
    return (tenant_id, device_id) if device_uri(tenant_id, device_id) == uri else None


def device_subject(tenant_id: str, device_id: str) -> x509.Name:
    """Give the subject of a device's certificate: O is the tenant, CN the device.

    A name that does not fit is shortened. The identity is the SAN URI, never the subject.
    """
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, short(tenant_id)),
            x509.NameAttribute(NameOID.COMMON_NAME, short(device_id)),
        ]
    )


def short(name: str) -> str:
    """Give *name* if it is printable and fits; else its ASCII beginning, `~` and 128 bits of its hash."""
    octets = name.encode("utf-8", "replace")
    if 0 < len(octets) <= MAX_NAME and name.isprintable():
        return name
    beginning = re.sub(r"[^ -~]", "_", name[:31])
    return f"{beginning}~{sha256(octets).hexdigest()[:32]}"


_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}$)(?:\*\.)?(?:{_LABEL}\.)*{_LABEL}")


def alternative_names(names: Iterable[str]) -> list[x509.GeneralName]:
    """Read DNS names and IP addresses for a SAN, each once; Malformed if one is neither."""
    return [_alternative_name(name) for name in dict.fromkeys(names)]


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        ascii_name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        ascii_name = ""
    if not _DNS_NAME.fullmatch(ascii_name):
        raise Malformed(f"{name[:64]!r} is neither a DNS name nor an IP address")
    return x509.DNSName(ascii_name)
