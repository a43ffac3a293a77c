"""Revocation lists: encoded entries are kept, so that half a million are signed in about a second."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta
from hashlib import sha256

from muster.ca.authority import Authority
from muster.ca.revocation import CRL_LIFETIME, RevocationReason, Revoked, build_crl, crl_entry
from muster.core import validity
from muster.core.certificates import Revocation, RevocationList
from muster.core.model import Instant
from muster.core.ports import Store

_PAGE = 10_000
_DAY = 86_400_000_000
_LATE = 60_000_000
"""Microseconds within which a transaction commits after its clock was read."""
_LARGE = 20_000
_PAUSE = 1_000_000
"""A large list is signed anew at most this often."""


class _Book:
    """The entries of one CA's list, by the day their certificates expire, and the list signed last."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.is_loaded = False
        self.count = 0
        self.latest = 0
        self.signed: RevocationList | None = None
        self._days: dict[int, bytearray] = defaultdict(bytearray)
        self._sizes: dict[int, int] = defaultdict(int)
        self._recent: dict[str, int] = {}

    def take(self, found: Iterable[Revocation]) -> int:
        """Put entries in that are not there yet; say how many. What is older than LATE comes but once."""
        before = self.count
        for each in found:
            if each.revoked_at > self.latest - _LATE:
                if each.id in self._recent:
                    continue
                self._recent[each.id] = each.revoked_at
            self.latest = max(self.latest, each.revoked_at)
            day = each.not_after // _DAY
            self._days[day] += crl_entry(Revoked(each.id, each.revoked_at, RevocationReason(each.reason)))
            self._sizes[day] += 1
            self.count += 1
        return self.count - before

    def settle(self) -> None:
        """Forget which entries are there, but for those that may be read once more."""
        since = self.latest - _LATE
        self._recent = {serial: at for serial, at in self._recent.items() if at > since}

    def drop_expired(self, now: Instant) -> None:
        for day in [day for day in self._days if (day + 1) * _DAY <= now]:
            del self._days[day]
            self.count -= self._sizes.pop(day)

    def sign(self, ca: Authority, now: Instant, lifetime: timedelta) -> RevocationList:
        """Sign what is there; the number is the time in milliseconds, which grows in every process."""
        der = build_crl(
            ca, [bytes(b) for b in self._days.values()], number=now // 1000, now=now, lifetime=lifetime
        )
        return RevocationList(
            der=der,
            etag=f'"{sha256(der).hexdigest()[:32]}"',
            this_update=now,
            next_update=Instant(now + int(lifetime.total_seconds()) * 1_000_000),
        )


class Lists:
    """The revocation lists of all our CAs, as fresh as the database each time one is asked for."""

    def __init__(
        self, store: Store, clock: Callable[[], Instant], lifetime: timedelta = CRL_LIFETIME
    ) -> None:
        self._store = store
        self._clock = clock
        self._lifetime = lifetime
        self._books: dict[str, _Book] = defaultdict(_Book)

    async def of(self, ca: Authority) -> RevocationList:
        """Give the CA's list. One that is large may lack what was revoked within the last second."""
        book = self._books[ca.id]
        async with book.lock:
            now = self._clock()
            if book.signed is not None and book.count > _LARGE and now < book.signed.this_update + _PAUSE:
                return book.signed
            is_changed = await self._refresh(book, ca.id)
            if book.signed is None or is_changed or self._is_old(book.signed, now):
                book.drop_expired(now)
                if book.count > _LARGE:
                    book.signed = await asyncio.to_thread(book.sign, ca, now, self._lifetime)
                else:
                    book.signed = book.sign(ca, now, self._lifetime)
            return book.signed

    def _is_old(self, signed: RevocationList, now: Instant) -> bool:
        return now > (signed.this_update + signed.next_update) // 2

    async def _refresh(self, book: _Book, issuer_id: str) -> bool:
        if book.is_loaded:
            since = Instant(book.latest - _LATE)
            taken = book.take(await self._store.read(validity.listed_since, issuer_id, since))
            book.settle()
            return taken > 0
        after, book.latest = "", self._clock()
        while page := await self._store.read(validity.listed, issuer_id, after=after, most=_PAGE):
            book.take(page)
            after = page[-1].id
        book.is_loaded = True
        return True
