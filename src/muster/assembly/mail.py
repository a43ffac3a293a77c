"""The operator's mail server, if the settings name one, and what goes to it; no text of it is ever logged."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from muster.assembly.parts import Parts
from muster.core import users
from muster.core.errors import Unavailable
from muster.core.model import Event, Secret, User
from muster.dialects.magistrala import recovery as magistrala
from muster.dialects.mainflux import users as mainflux
from muster.settings import Settings
from muster.store.outbox import Outbox
from muster.web.desk import Desk
from muster.web.mail import Mail, MailRefused, Postbox

GIVE_UP = 6 * 3600 * 1_000_000
"""Microseconds after which whoever asked for a recovery mail waits no more."""
RECOVERY_SECONDS = 3600
"""How long a mailed token is good for."""
_LETTERS = {"magistrala": magistrala.letter, "mainflux": mainflux.letter}
"""By the door where it was asked."""


async def mailing(parts: Parts) -> None:
    """Take recovery mails out of the outbox to the mail server, until cancelled."""
    await Outbox(parts.store, parts.clock, is_slow=True).run(Recoveries(parts).deliver)


class Recoveries:
    """Writes and sends recovery mails. The token is made on the way out: none is ever in the database."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._send = sender_of(parts.configuration.settings, parts.log)

    async def deliver(self, event: Event) -> None:
        """Send it if somebody has the address; Unavailable when the mail server does not take it now.

        Without a mail server, for an address the server refuses, and after GIVE_UP, it is over.
        """
        if self._send is None or self._parts.clock() > event.created_at + GIVE_UP:
            self._parts.log.warning("mail given up", number=event.id)
            return
        user = await self._parts.store.read(users.find_recoverable, event.key)
        if user is not None:
            try:
                await self._send(self._letter(event, user))
            except MailRefused:
                return  # it is in the log; the next try would end the same

    def _letter(self, event: Event, user: User) -> Mail:
        parts, door = self._parts, event.payload["door"]
        desk = Desk(
            store=parts.store, tokens=parts.tokens, passwords=parts.passwords, clock=parts.clock, dialect=door
        )
        where = parts.configuration.settings.base_url
        return _LETTERS[door](desk, user, lifetime=RECOVERY_SECONDS, where=where)


def sender_of(settings: Settings, log: Any) -> Callable[[Mail], Awaitable[None]] | None:
    """Give what delivers a mail or raises Unavailable; None without a mail server."""
    if settings.mail_url is None:
        return None
    postbox = postbox_of(settings.mail_url.reveal(), settings.mail_from)

    async def send(mail: Mail) -> None:
        try:
            await postbox.send(mail)
        except Unavailable as error:
            log.warning("mail not delivered", reason=error.message)
            raise

    return send


def postbox_of(url: str, sender: str) -> Postbox:
    """Read `smtp://user:password@host:587` or `smtps://…`; user and password may be percent-encoded."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "smtps"
    return Postbox(
        host=parts.hostname or "",
        port=parts.port or (465 if is_tls else 587),
        sender=sender,
        username=unquote(parts.username or ""),
        password=Secret(unquote(parts.password)) if parts.password else None,
        is_tls=is_tls,
    )
