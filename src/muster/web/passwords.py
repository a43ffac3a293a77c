"""What follows the login of a person with a password, at every door."""

import contextlib

from muster.core import users
from muster.core.keyholders import Passwords
from muster.core.model import User
from muster.core.ports import Store


async def renew(store: Store, passwords: Passwords, user: User, plain: str) -> None:
    """Hash a right password anew if its verifier has other costs than today's, or came from another system.

    To be called when the user has logged in with it. The login waits for that, once, and never fails with it.
    """
    with contextlib.suppress(Exception):  # whatever it was, the password is right; the next login tries again
        fresh = await passwords.renew(user.password, plain)
        if fresh is not None:
            await store.run(users.renew_verifier, user.id, old=user.password, new=fresh)
