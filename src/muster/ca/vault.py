"""A PKI engine of Vault or OpenBao, asked over HTTP. Everything here waits: call it on its own thread."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import hvac
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hvac import exceptions

from muster.ca.authority import bundle, public_key_of, read_certificates, serial_text
from muster.ca.keys import UNREADABLE, PrivateKey, PublicKey, signing_hash, spki_sha256
from muster.ca.names import alternative_names, device_uri, short
from muster.core.errors import Malformed, Unavailable

R = TypeVar("R")
E = TypeVar("E", bound=x509.ExtensionType)
PATIENCE = 10.0
"""Seconds that one call may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What Vault signed."""

    certificate: x509.Certificate
    serial: str
    authorities: tuple[x509.Certificate, ...]
    """The CA that signed, and those above it."""

    @property
    def chain(self) -> str:
        """PEM of the CAs above it, without the root."""
        return bundle(each for each in self.authorities if each.subject != each.issuer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a certificate is to call its device."""

    common_name: str
    uri: str
    others: tuple[x509.GeneralName, ...] = ()
    """DNS names and IP addresses that an operator asked for."""


def names_of(tenant_id: str, device_id: str, others: Iterable[str] = ()) -> Names:
    """Give a device's names. Malformed when *others* are neither DNS names nor IP addresses."""
    return Names(
        common_name=short(device_id),
        uri=device_uri(tenant_id, device_id),
        others=tuple(alternative_names(others)),
    )


class Vault:
    """One PKI mount and one role. Unavailable, with what is wrong, from every method."""

    def __init__(
        self, address: str, token: str, *, mount: str, role: str, patience: float = PATIENCE
    ) -> None:
        self._client = hvac.Client(url=address, token=token, timeout=patience)
        self._mount = mount
        self._role = role

    def sign(self, csr: str, key: PublicKey, names: Names, ttl_seconds: int) -> Signed:
        """Have a device's key certified; the answer is checked to be for this key and these names only."""
        wanted = {
            "ttl": f"{ttl_seconds}s",
            "uri_sans": names.uri,
            "alt_names": ",".join(each.value for each in names.others if isinstance(each, x509.DNSName)),
            "ip_sans": ",".join(str(each.value) for each in names.others if isinstance(each, x509.IPAddress)),
            "exclude_cn_from_sans": True,
            "format": "pem",
        }
        answer = self._data(
            lambda: self._client.secrets.pki.sign_certificate(
                self._role, csr, names.common_name, extra_params=wanted, mount_point=self._mount
            )
        )
        made = _read(answer.get("certificate"))
        above = [_read(each) for each in (answer.get("issuing_ca"), *(answer.get("ca_chain") or ()))]
        _check(made, key, names)
        return Signed(
            certificate=made,
            serial=serial_text(made.serial_number),
            authorities=tuple(dict.fromkeys(above)),
        )

    def revoke(self, serial: str) -> None:
        """Revoke a certificate there; safe to repeat, and for one it does not know."""
        try:
            self._ask(
                lambda: self._client.secrets.pki.revoke_certificate(_colons(serial), mount_point=self._mount)
            )
        except _Unknown:
            return
        except _Refused:
            if self.key_digest_of(serial) is not None:
                raise

    def serials(self) -> list[str]:
        """Give the serials of all certificates it has."""
        try:
            found = self._data(lambda: self._client.secrets.pki.list_certificates(mount_point=self._mount))
        except _Unknown:
            return []
        return [_plain(str(each)) for each in found.get("keys", [])]

    def key_digest_of(self, serial: str) -> bytes | None:
        """Give the hash of the key in a certificate it has; None if there is no such one."""
        try:
            found = self._data(
                lambda: self._client.secrets.pki.read_certificate(_colons(serial), mount_point=self._mount)
            )
        except _Unknown:
            return None
        return spki_sha256(public_key_of(_read(found.get("certificate"))))

    def authorities(self) -> list[x509.Certificate]:
        """Give the certificate of the CA that signs there, and those above it."""
        pki = self._client.secrets.pki
        text = self._ask(lambda: pki.read_ca_certificate_chain(mount_point=self._mount))
        if not str(text).strip():
            text = self._ask(lambda: pki.read_ca_certificate(mount_point=self._mount))
        try:
            return read_certificates(str(text))
        except Malformed:
            raise _nonsense() from None

    def crl(self) -> bytes:
        """Give its revocation list, DER."""
        text = self._ask(lambda: self._client.secrets.pki.read_crl(mount_point=self._mount))
        try:
            return x509.load_pem_x509_crl(str(text).encode()).public_bytes(Encoding.DER)
        except UNREADABLE:
            raise _nonsense() from None

    def renew_token(self) -> None:
        """Renew the token; one that cannot be renewed is left as it is."""
        try:
            self._ask(self._client.auth.token.renew_self)
        except (_Refused, _Unknown):
            return

    def _data(self, call: Callable[[], Any]) -> dict[str, Any]:
        answer = self._ask(call)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise _nonsense()
        return data

    def _ask(self, call: Callable[[], R]) -> R:
        try:
            return call()
        except (exceptions.InvalidPath, exceptions.UnsupportedOperation):
            raise _Unknown("Vault has no such path; check vault_pki_path and vault_role") from None
        except (exceptions.Forbidden, exceptions.Unauthorized):
            raise _Refused("Vault does not accept the token") from None
        except exceptions.InvalidRequest as error:
            raise _Refused(f"Vault refused: {str(error)[:200]}") from None
        except exceptions.VaultDown:
            raise Unavailable("Vault is sealed or in maintenance") from None
        except requests.Timeout:
            raise Unavailable("Vault does not answer in time") from None
        except requests.JSONDecodeError:
            raise _nonsense() from None
        except (exceptions.VaultError, requests.RequestException):
            raise Unavailable("Vault does not answer") from None


class _Unknown(Unavailable):
    pass


class _Refused(Unavailable):
    pass


def _nonsense() -> Unavailable:
    return Unavailable("Vault answers what is no certificate")


def _read(pem: object) -> x509.Certificate:
    try:
        return read_certificates(str(pem))[0]
    except Malformed:
        raise _nonsense() from None


def _check(made: x509.Certificate, key: PublicKey, names: Names) -> None:
    """A role that is set up otherwise lets the signing request choose. Unavailable, with what to change."""
    if spki_sha256(public_key_of(made)) != spki_sha256(key):
        raise Unavailable("Vault certified another key")
    called = [each.value for each in made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if called != [names.common_name]:
        raise Unavailable("Vault let the request choose the name; the role needs use_csr_common_name=false")
    wanted = {x509.UniformResourceIdentifier(names.uri), *names.others}
    alternatives = _extension(made, x509.SubjectAlternativeName)
    if set(alternatives or ()) != wanted:
        raise Unavailable("Vault put in other names; the role needs use_csr_sans=false and allowed_uri_sans")
    if ExtendedKeyUsageOID.CLIENT_AUTH not in (_extension(made, x509.ExtendedKeyUsage) or ()):
        raise Unavailable("Vault's certificate is for no client; the role needs client_flag=true")
    constraints = _extension(made, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise Unavailable("Vault made a CA of a device")


def _extension(made: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return made.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE:
        raise _nonsense() from None


def request_for(key: PrivateKey, device_id: str) -> str:
    """Give the signing request (PEM) for a key that was made here."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, short(device_id))])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, signing_hash(key))
    return request.public_bytes(Encoding.PEM).decode()


def _colons(serial: str) -> str:
    return ":".join(serial[place : place + 2] for place in range(0, len(serial), 2))


def _plain(serial: str) -> str:
    return serial.replace(":", "").replace("-", "").lower()
