"""Mail to users, through the operator's SMTP server (RFC 5321); blocking work happens on a thread."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from muster.core.errors import Unavailable
from muster.core.model import Secret

_PERMANENT = 500
"""From here on, replies say that the same will fail again (RFC 5321, 4.2.1)."""


class MailRefused(Unavailable):
    """The server does not know the person; to try again is of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A plain text to one person."""

    to: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Postbox:
    """The SMTP server that takes our mail, and the address it comes from."""

    host: str
    port: int
    sender: str
    username: str = ""
    password: Secret | None = None
    is_tls: bool = False
    """TLS from the first byte (RFC 8314), else STARTTLS where the server offers it (RFC 3207)."""
    seconds: float = 20.0
    """How long one step may take."""

    async def send(self, mail: Mail) -> None:
        """Hand the mail to the server. Unavailable when it does not take it; the reason has no text of it.

        MailRefused when it never will, for the person it is to.
        """
        try:
            await asyncio.to_thread(self._deliver, self._message(mail))
        except smtplib.SMTPRecipientsRefused as error:
            is_final = all(code >= _PERMANENT for code, _ in error.recipients.values())
            failure = MailRefused if is_final else Unavailable
            raise failure("the mail server does not take the address") from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise Unavailable(f"the mail server did not take it: {type(error).__name__}") from None

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2] or None)
        message.set_content(mail.text)
        return message

    def _deliver(self, message: EmailMessage) -> None:
        context = ssl.create_default_context()
        with self._connected(context) as server:
            server.ehlo()
            if not self.is_tls and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            if self.username and self.password is not None:
                server.login(self.username, self.password.reveal())
            server.send_message(message)

    def _connected(self, context: ssl.SSLContext) -> smtplib.SMTP:
        if self.is_tls:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.seconds, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=self.seconds)
