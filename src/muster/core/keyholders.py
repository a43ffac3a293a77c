"""What the core needs of those who hold keys, as small Protocols; no key and no cipher is seen here."""

from collections.abc import Sequence
from typing import Protocol

from muster.core.certificates import (
    AuthorityView,
    CertificateRequest,
    Issued,
    KeyWanted,
    RevocationList,
    Shown,
)
from muster.core.model import Instant, Json
from muster.core.ports import Tx


class Sealer(Protocol):
    """Seals what must be shown again and hashes what must be found again."""

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the master keys, newest first."""

    def digest(self, purpose: str, plain: str) -> bytes:
        """Give a keyed hash of 32 bytes; another purpose gives another hash."""

    def digests(self, purpose: str, plain: str) -> tuple[bytes, ...]:
        """Give the keyed hash under each master key, newest first."""

    def former_digests(self, purpose: str, plain: str) -> tuple[bytes, ...]:
        """Give the keyed hash under each hash key whose master key is gone."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate; *context* must be given again to open."""

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what seal made."""


class Signer(Protocol):
    """Signs certificates with a CA of our own; nothing here waits for anybody."""

    @property
    def ca_bundle(self) -> str:
        """The CA certificates that verify what is issued, PEM, root first."""

    def issue(self, tenant_id: str, device_id: str, asked: CertificateRequest, now: Instant) -> Issued:
        """Sign a device's certificate. Malformed for a bad CSR, key or lifetime; Unavailable without a CA.

        KeyWanted when that needs what Pki.prepare must get first.
        """


class Preparation(Signer, Protocol):
    """A Signer for one request, with what was prepared for it."""

    async def prepare(self, wanted: KeyWanted) -> None:
        """Get what was missing. Unavailable when it cannot be had now; Malformed when it never can."""

    async def done(self, *, is_committed: bool) -> None:
        """Say how the transaction ended: what was made for it and is in no record must not live on."""


class Pki(Protocol):
    """The installation's certificate authority, as doors see it."""

    @property
    def ca_bundle(self) -> str:
        """The CA certificates that verify what is issued, PEM, root first."""

    @property
    def is_remote(self) -> bool:
        """Whether somebody else signs, so that a device's id must be known before its record is made."""

    def preparation(self) -> Preparation:
        """Begin a request that may issue."""

    async def verify(self, chain_der: Sequence[bytes]) -> Shown:
        """Verify a shown chain, leaf first, up to our own CA; Unauthenticated with the reason."""

    async def revocation_list(self, issuer_id: str | None) -> RevocationList:
        """Give the current list of a CA, by default of the one that signs. NotFound if it is not ours."""

    async def ocsp(self, question: bytes) -> bytes:
        """Answer a DER question about one certificate (RFC 6960); what is wrong with it is in the answer."""

    async def ocsp_of(self, serial: str) -> bytes:
        """Give the answer for a serial in hex; NotFound when no CA of ours signed it."""

    async def authority(self, issuer_id: str | None) -> bytes:
        """Give a CA's certificate as DER, by default that of the one that signs; NotFound."""

    async def bundle(self) -> str:
        """Give the same as `ca_bundle`, as the database has it now."""

    def certs_only(self, pem: str) -> bytes:
        """Give certificates as EST sends them (RFC 7030, 4.1.3): PKCS #7, Base64."""

    def csr_attributes(self) -> bytes:
        """Give what EST's csrattrs answers."""

    async def authorities(self) -> list[AuthorityView]:
        """Show all CAs, the newest first."""

    def roll_over(self, tx: Tx, *, with_root: bool) -> list[AuthorityView]:
        """Make a new issuing CA, and a new root above it if asked; the old ones stay trusted.

        It signs as soon as `authorities` was asked after the commit, in other processes a little later.
        """

    def take_over(self, tx: Tx, *, certificates: str, key: str, password: str | None) -> list[AuthorityView]:
        """Sign with an existing CA, as with a new one. Malformed with the reason when it cannot be used."""


class Passwords(Protocol):
    """Hashes and verifies the passwords of humans, on few threads of their own."""

    async def hash(self, plain: str) -> str:
        """Give an argon2id verifier."""

    async def verify(self, verifier: str | None, plain: str) -> bool:
        """Compare; without a verifier take as long and say no."""

    async def renew(self, verifier: str, plain: str) -> str | None:
        """Give a verifier of today's costs for a verified password; None where it has them, or cannot."""


class Tokens(Protocol):
    """Signs and verifies JSON Web Tokens (RFC 7519)."""

    def mint(self, claims: dict[str, Json]) -> str:
        """Sign; the issuer claim selects the algorithm."""

    def verify(self, token: str, now: int) -> dict[str, Json]:
        """Give the claims, or raise Unauthenticated; *now* in seconds since 1970 UTC."""
