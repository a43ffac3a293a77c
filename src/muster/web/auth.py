"""Who a request says it comes from: every way to write the header Authorization is read here."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Collection

from muster.core.access import Evidence, KeySecret, UserToken, authenticate
from muster.core.errors import Unauthenticated
from muster.core.keyholders import Tokens
from muster.core.model import Instant, Json, UserId
from muster.web.errors import MissingToken
from muster.web.request import AnyRequest, incoming

__all__ = [
    "Evidence",
    "authenticate",
    "device_key",
    "evidence",
    "has_token",
    "is_bearer",
    "of_claims",
    "scheme_and_rest",
    "unless_said",
]

KEY_PREFIXES = ("pat_", "mk_")
"""How the secrets of personal access tokens and API keys begin."""

ACCESS = frozenset({0})
"""The claim `type` of a token that opens every door; without the claim it is one of these."""


def scheme_and_rest(header: str) -> tuple[str, str]:
    """Split `Bearer abc` into its scheme in lower case and the rest; a header of one word has no scheme."""
    scheme, space, rest = header.strip().partition(" ")
    return (scheme.lower(), rest.strip()) if space else ("", scheme)


def evidence(
    request: AnyRequest, tokens: Tokens, clock: Callable[[], Instant], kinds: Collection[int] = ACCESS
) -> Evidence:
    """Read the token or key of a user, raw or after `Bearer`.

    A token must be of one of *kinds*. MissingToken without any, Unauthenticated when it is not good.
    """
    scheme, plain = scheme_and_rest(incoming(request).field(b"authorization"))
    if not plain or scheme not in ("", "bearer") or (not scheme and plain.lower() == "bearer"):
        raise MissingToken
    if plain.startswith(KEY_PREFIXES):
        return KeySecret(plain)
    return of_claims(tokens.verify(plain, clock() // 1_000_000), kinds)


class Remembered:
    """Tokens that need not be verified again within a minute: that is a third of a request's work.

    Whether the user still exists and the token's epoch still holds is asked of the store each time.
    """

    __slots__ = ("_known", "_tokens")

    MOST = 4096
    SECONDS = 60

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._known: dict[str, tuple[dict[str, Json], int]] = {}

    def mint(self, claims: dict[str, Json]) -> str:
        """Sign."""
        return self._tokens.mint(claims)

    def verify(self, token: str, now: int) -> dict[str, Json]:
        """Give the claims, not to be changed, or raise Unauthenticated; never after the token's expiry."""
        known = self._known.get(token)
        if known is not None and now < known[1]:
            return known[0]
        claims = self._tokens.verify(token, now)
        self._known.pop(token, None)
        if len(self._known) >= self.MOST:
            del self._known[next(iter(self._known))]
        self._known[token] = (claims, min(claims["exp"], now + self.SECONDS))
        return claims


def has_token(request: AnyRequest) -> bool:
    """Say whether the request carries an Authorization header at all."""
    return bool(incoming(request).field(b"authorization").strip())


async def unless_said(
    request: AnyRequest, otherwise: Callable[[], Awaitable[Evidence | None]]
) -> Evidence | None:
    """Give who calls where the header does not say, or None where it does; Unauthenticated for nobody."""
    if has_token(request):
        return None
    known = await otherwise()
    if known is None:
        raise Unauthenticated("failed to create access token : missing credentials")
    return known


def is_bearer(request: AnyRequest) -> bool:
    """Say whether the request carries something after `Bearer`."""
    scheme, plain = scheme_and_rest(incoming(request).field(b"authorization"))
    return scheme == "bearer" and bool(plain)


def of_claims(claims: dict[str, Json], kinds: Collection[int]) -> UserToken:
    """Give whom a verified token names: claim `user` or `issuer_id`, and `epoch`. Unauthenticated if none."""
    user_id = claims.get("user") or claims.get("issuer_id")
    epoch = claims.get("epoch", 0)
    if not isinstance(user_id, str) or not isinstance(epoch, int) or claims.get("type", 0) not in kinds:
        raise Unauthenticated
    return UserToken(user_id=UserId(user_id), epoch=epoch)


_DEVICE_SCHEMES = ("", "thing", "client")


def device_key(request: AnyRequest) -> str | None:
    """Give the secret a device sends: raw, after `Thing` or `Client`, or as the password of `Basic`.

    None when there is none or it is sent in another way.
    """
    scheme, plain = scheme_and_rest(incoming(request).field(b"authorization"))
    if scheme == "basic":
        return _password(plain)
    if scheme not in _DEVICE_SCHEMES or (not scheme and plain.lower() in _DEVICE_SCHEMES):
        return None
    return plain


def _password(encoded: str) -> str | None:
    try:
        pair = b64decode(encoded, validate=True).decode()
    except (NotBase64, ValueError):
        return None
    return pair.partition(":")[2] or None
