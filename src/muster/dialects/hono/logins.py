"""HTTP Basic of Muster's users, without the price of a password hash for each request."""

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from secrets import token_bytes

from muster.core import users
from muster.core.access import Evidence, UserToken
from muster.core.errors import Unauthenticated
from muster.core.keyholders import Passwords
from muster.core.model import Instant, Status, User
from muster.core.ports import Store
from muster.core.throttle import Throttle
from muster.web.auth import scheme_and_rest
from muster.web.passwords import renew
from muster.web.request import Request


class Logins:
    """Remembers which user names and passwords were verified lately: bounded, keyed hashes only.

    A remembered login holds as long as the user's epoch, which the store is asked for each time; so a changed
    password or a disabled user ends it in every process at once. forget() makes room.
    """

    MOST = 4096
    MICROSECONDS = 15 * 60 * 1_000_000

    def __init__(
        self, store: Store, passwords: Passwords, throttle: Throttle, clock: Callable[[], Instant]
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._throttle = throttle
        self._clock = clock
        self._key = token_bytes(32)
        self._known: dict[bytes, tuple[UserToken, int]] = {}

    async def __call__(self, request: Request) -> Evidence | None:
        """Give whom `Basic` names; None for any other scheme. Unauthenticated, TooMany, Unavailable."""
        scheme, encoded = scheme_and_rest(request.field(b"authorization"))
        if scheme != "basic":
            return None
        mark = hmac.digest(self._key, encoded.encode("utf-8", "surrogatepass"), "sha256")
        known, until = self._known.get(mark, (None, 0))
        if known is not None and self._clock() < until:
            return known
        name, password = _pair(encoded)
        attempt = (name, request.source)
        self._throttle.check(attempt, self._clock())
        user = await self._store.read(users.find_login, name)
        if not await self._verify(user, password) or user is None:
            self._throttle.failed(attempt, self._clock())
            raise Unauthenticated
        await renew(self._store, self._passwords, user, password)
        return self._remember(mark, user)

    async def _verify(self, user: User | None, password: str) -> bool:
        is_open = user is not None and user.status is Status.ENABLED
        return await self._passwords.verify(user.password if is_open and user else None, password)

    def _remember(self, mark: bytes, user: User) -> UserToken:
        self._known.pop(mark, None)
        if len(self._known) >= self.MOST:
            del self._known[next(iter(self._known))]
        token = UserToken(user_id=user.id, epoch=user.epoch)
        self._known[mark] = (token, self._clock() + self.MICROSECONDS)
        return token

    def forget(self, user_id: str) -> None:
        """Drop what is remembered of a user who has changed."""
        for mark in [mark for mark, (token, _) in self._known.items() if token.user_id == user_id]:
            del self._known[mark]


def _pair(encoded: str) -> tuple[str, str]:
    try:
        name, colon, password = b64decode(encoded, validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        raise Unauthenticated from None
    if not colon or "\0" in name:
        raise Unauthenticated
    return name, password
