"""The certificates of devices and their CAs, as the core asks about them."""

from collections.abc import Sequence
from functools import lru_cache

from cryptography import x509

from muster.ca import dn, facts, verify
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
        """Verify a client's chain (leaf first). Unauthenticated, with the reason, if nobody vouches."""
        found = verify.verify_chain(chain[0], _below(chain), map(_anchor, cas), now)
        alternatives = {"uri": found.uris[:1], "dns": found.dns_names[:1]}
        return Shown(
            subject=_name(found.subject_der),
            issuer=_issuer(found.issuer_der),
            serial=found.serial,
            fingerprint=found.fingerprint.hex(),
            spki_der=b"",
            algorithm="",
            not_before=found.not_before,
            not_after=found.not_after,
            alternative_names={kind: first[0] for kind, first in alternatives.items() if first},
            ca_id=found.anchor.tag,
        )


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
