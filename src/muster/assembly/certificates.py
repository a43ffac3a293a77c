"""The certificates of devices and their CAs, as the core asks about them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from cryptography import x509

from muster.ca import dn, facts, verify
from muster.core import templates
from muster.core.errors import Unauthenticated
from muster.core.identity import Name, Shown, TrustedCa
from muster.core.model import NEVER, Instant


def _name(der: bytes) -> Name:
    return Name(text=dn.dn_text(der), der=der, key=dn.dn_key(der), attributes=dn.dn_attributes(der))


@lru_cache(maxsize=4096)
def _issuer(der: bytes) -> Name:
    """Few CAs sign many devices."""
    return _name(der)


class Certificates:
    """Implements core/identity.Certificates."""

    def name(self, text: str) -> Name:
        """Read a name typed as text; Malformed if it is none."""
        return _name(dn.dn_der(text))

    def name_of(self, der: bytes) -> Name:
        """Read a name in DER; Malformed if it is none."""
        return _name(der)

    def read(self, data: bytes | str) -> Shown:
        """Read a certificate: PEM, DER, or Base64 of DER. Malformed if it cannot be read."""
        read = facts.read_certificate(data)
        parsed = x509.load_der_x509_certificate(read.der)
        return Shown(
            subject=_name(read.subject_der),
            issuer=_name(parsed.issuer.public_bytes()),
            serial=read.serial,
            fingerprint=read.fingerprint.hex(),
            spki_der=read.spki_der,
            algorithm=read.algorithm,
            not_before=read.not_before,
            not_after=read.not_after,
            alternative_names=_names_in(parsed),
        )

    def check_key(self, spki_der: bytes) -> str:
        """Give the algorithm of a public key. Malformed if it cannot be read or is weak."""
        return facts.key_algorithm(facts.read_public_key(spki_der))

    def issuers(self, chain: Sequence[bytes]) -> tuple[str, ...]:
        """Give the keys of the issuers' names in a chain that is not verified yet, the leaf's first."""
        if not chain:
            raise Unauthenticated
        return verify.issuer_keys(chain[0], _below(chain))

    def verify(self, chain: Sequence[bytes], cas: Sequence[TrustedCa], now: Instant) -> Shown:
        """Verify a client's chain (leaf first). Unauthenticated, with the reason, if nobody vouches.

        Malformed when the CA's template asks for what the certificate has not.
        """
        found = verify.verify_chain(chain[0], _below(chain), map(_anchor, cas), now)
        shown = Shown(
            subject=_name(found.subject_der),
            issuer=_issuer(found.issuer_der),
            serial=found.serial,
            fingerprint=found.fingerprint.hex(),
            spki_der=b"",
            algorithm="",
            not_before=found.not_before,
            not_after=found.not_after,
            alternative_names=_alternatives(found.uris, found.dns_names),
            ca_id=found.anchor.tag,
        )
        template = next(ca.auth_id_template for ca in cas if ca.id == shown.ca_id)
        return replace(shown, stands_for=templates.stands_for(template, shown, self)) if template else shown


def _names_in(certificate: x509.Certificate) -> dict[str, str]:
    found = [e.value for e in certificate.extensions if isinstance(e.value, x509.SubjectAlternativeName)]
    uris = [uri for names in found for uri in names.get_values_for_type(x509.UniformResourceIdentifier)]
    return _alternatives(uris, [dns for names in found for dns in names.get_values_for_type(x509.DNSName)])


def _alternatives(uris: Sequence[str], dns_names: Sequence[str]) -> dict[str, str]:
    return {kind: names[0] for kind, names in (("uri", uris), ("dns", dns_names)) if names}


def _below(chain: Sequence[bytes]) -> list[bytes]:
    """Give what was sent along, without self-signed roots: they prove nothing and count for nothing."""
    return [der for der in chain[1:] if not _is_self_issued(der)]


def _is_self_issued(der: bytes) -> bool:
    try:
        parsed = x509.load_der_x509_certificate(der)
    except ValueError:
        return False
    return parsed.subject == parsed.issuer


def _anchor(ca: TrustedCa) -> verify.Anchor:
    return verify.Anchor(
        tag=ca.id,
        subject_der=ca.subject_der,
        spki_der=ca.spki_der,
        not_before=None if ca.not_before == NEVER else ca.not_before,
        not_after=None if ca.not_after == NEVER else ca.not_after,
    )
