"""The operator's mail server, if the settings name one; what it does not take is logged, never its text."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from muster.core.errors import Unavailable
from muster.core.model import Secret
from muster.settings import Settings
from muster.web.mail import Mail, Postbox


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
