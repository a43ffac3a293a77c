"""The keys by which Muster and the broker know each other: NATS nkeys, and the tokens they sign."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import msgspec
import nkeys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from muster.core.errors import Malformed

_HEADER = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"ed25519-nkey"}').rstrip(b"=")
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Keys:
    """All that Muster and its broker share, derived from one seed of 32 bytes the caller keeps sealed."""

    seed: bytes

    def __repr__(self) -> str:
        return "Keys(…)"

    def nkey(self, role: str) -> str:
        """Give the nkey seed of a role: `issuer` signs answers, the others log in."""
        prefix = nkeys.PREFIX_BYTE_ACCOUNT if role == "issuer" else nkeys.PREFIX_BYTE_USER
        return str(nkeys.encode_seed(self._derive(role), prefix), "ascii")

    def public(self, role: str) -> str:
        """Give the public key of a role, as the broker's configuration names it."""
        return str(nkeys.from_seed(self.nkey(role).encode()).public_key, "ascii")

    def password(self, purpose: str) -> str:
        """Give a password of 256 bits for *purpose*."""
        return self._derive(f"password {purpose}").hex()

    def signer(self) -> "Signer":
        """Give what signs answers to the broker."""
        return Signer(Ed25519PrivateKey.from_private_bytes(self._derive("issuer")), self.public("issuer"))

    def _derive(self, purpose: str) -> bytes:
        return hmac.digest(self.seed, b"muster broker " + purpose.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs tokens as the account that the broker trusts to answer its callouts."""

    key: Ed25519PrivateKey
    public: str

    def sign(self, claims: dict[str, Any]) -> str:
        """Give the token of *claims*, issued by this signer."""
        body = _HEADER + b"." + base64.urlsafe_b64encode(_encode({**claims, "iss": self.public})).rstrip(b"=")
        signature = base64.urlsafe_b64encode(self.key.sign(body)).rstrip(b"=")
        return str(body + b"." + signature, "ascii")


def claims_of(token: bytes) -> bytes:
    """Give the claims of a token as JSON text, whoever signed it. Malformed if it is none."""
    try:
        _, body, _ = token.split(b".")
        return base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4))
    except ValueError as error:
        raise Malformed("not a token") from error
