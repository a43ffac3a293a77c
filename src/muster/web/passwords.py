"""Passwords of people, as every door has them: what follows a login, and the way to a new one."""

import contextlib

from muster.core import events, users
from muster.core.errors import TooMany
from muster.core.keyholders import Passwords
from muster.core.model import User
from muster.core.ports import Store
from muster.core.throttle import Throttle
from muster.web.desk import Desk


async def renew(store: Store, passwords: Passwords, user: User, plain: str) -> None:
    """Hash a right password anew if its verifier has other costs than today's, or came from another system.

    To be called when the user has logged in with it. The login waits for that, once, and never fails with it.
    """
    with contextlib.suppress(Exception):  # whatever it was, the password is right; the next login tries again
        fresh = await passwords.renew(user.password, plain)
        if fresh is not None:
            await store.run(users.renew_verifier, user.id, old=user.password, new=fresh)


async def ask_for_recovery(desk: Desk, asked: Throttle, email: str, *, door: str) -> None:
    """Put a recovery mail into the outbox, in the words of that door, unless *asked* has it too often.

    Whether anybody has the address or not: so the time does not tell either.
    """
    key = ("recovery", email)
    with contextlib.suppress(TooMany):  # telling would tell that somebody asks for this address
        asked.check(key, desk.clock())
        asked.failed(key, desk.clock())
        await desk.store.run(events.recovery_asked, email, door)
