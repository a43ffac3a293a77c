"""HTTP Basic of Muster's users, without the price of a password hash for each request."""

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from secrets import token_bytes

from muster.core import users
from muster.core.access import Evidence, UserToken
from muster.core.errors import Unauthenticated
from muster.core.events import USER_CHANGED
from muster.core.keyholders import Passwords
from muster.core.model import Event, Instant, Status, User
from muster.core.ports import Store
from muster.core.throttle import Throttle
from muster.web.auth import scheme_and_rest
from muster.web.passwords import renew
from muster.web.request import Request


@dataclass(frozen=True, slots=True)
class _Known:
    """A login that was verified: by which verifier, and until when that counts and need not be looked at."""

    token: UserToken
    verifier: str
    until: int
    looked_at: int


class Logins:
    """Remembers which user names and passwords were verified lately: bounded, keyed hashes only.

    A remembered login holds as long as the user's epoch, which the store is asked for each time; so a changed
    password or a disabled user ends it in every process at once. What is remembered of a user who changes is
    dropped with the commit in the process that makes it, and in all others within *LOOK* microseconds.
    """

    MOST = 4096
    MICROSECONDS = 15 * 60 * 1_000_000
    LOOK = 5 * 1_000_000

    def __init__(
        self, store: Store, passwords: Passwords, throttle: Throttle, clock: Callable[[], Instant]
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._throttle = throttle
        self._clock = clock
        self._key = token_bytes(32)
        self._known: dict[bytes, _Known] = {}

    async def __call__(self, request: Request) -> Evidence | None:
        """Give whom `Basic` names; None for any other scheme. Unauthenticated, TooMany, Unavailable."""
        scheme, encoded = scheme_and_rest(request.field(b"authorization"))
        if scheme != "basic":
            return None
        mark = hmac.digest(self._key, encoded.encode("utf-8", "surrogatepass"), "sha256")
        known, now = self._known.get(mark), self._clock()
        if known is not None and now < min(known.until, known.looked_at + self.LOOK):
            return known.token
        name, password = _pair(encoded)
        user = await self._store.read(users.find_login, name)
        if known is not None and now < known.until and user is not None and _is_still(known, user):
            return self._remember(mark, user, known.until)
        attempt = (name, request.source)
        self._throttle.check(attempt, now)
        if not await self._verify(user, password) or user is None:
            self._throttle.failed(attempt, self._clock())
            raise Unauthenticated
        await renew(self._store, self._passwords, user, password)
        return self._remember(mark, user, now + self.MICROSECONDS)

    async def _verify(self, user: User | None, password: str) -> bool:
        is_open = user is not None and user.status is Status.ENABLED
        return await self._passwords.verify(user.password if is_open and user else None, password)

    def _remember(self, mark: bytes, user: User, until: int) -> UserToken:
        self._known.pop(mark, None)
        if len(self._known) >= self.MOST:
            self._known.pop(next(iter(self._known)), None)
        token = UserToken(user_id=user.id, epoch=user.epoch)
        self._known[mark] = _Known(token, user.password, until, self._clock())
        return token

    def changed(self, news: Iterable[Event]) -> None:
        """Forget users whom a transaction has changed: what it put into the outbox. For any thread."""
        gone = {event.key for event in news if event.topic == USER_CHANGED}
        if gone:
            for mark, known in list(self._known.items()):
                if known.token.user_id in gone:
                    self._known.pop(mark, None)


def _is_still(known: _Known, user: User) -> bool:
    is_same = known.token.user_id == user.id and known.verifier == user.password
    return is_same and user.status is Status.ENABLED


def _pair(encoded: str) -> tuple[str, str]:
    try:
        name, colon, password = b64decode(encoded, validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        raise Unauthenticated from None
    if not colon or "\0" in name:
        raise Unauthenticated
    return name, password
