"""A forgotten password: the token goes out by mail, or through an admin, and nobody learns who exists."""

import asyncio
import email
import io
import re
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from muster.assembly.mail import GIVE_UP, Recoveries, mailing, sender_of
from muster.core.errors import Unavailable
from muster.core.events import RECOVERY_ASKED
from muster.core.model import Event, Instant
from muster.core.ports import ANYWHERE
from muster.settings import load
from muster.web.mail import Mail
from muster.web.observe import Lines, json_logger
from tests.dialects.magistrala.harness import PASSWORD, Muster, status

NEW = "a new password"
WAIT_SECONDS = 60
AWAY = {"MUSTER_MAIL_URL": "smtp://127.0.0.1:9", "MUSTER_MAIL_FROM": "muster@plant.example"}
"""A mail server that nobody runs."""


class _Conversation(socketserver.StreamRequestHandler):
    """The server's side of SMTP (RFC 5321), as far as one mail needs it."""

    def handle(self) -> None:
        self.say(b"220 mail.test")
        while command := self.rfile.readline().strip():
            verb = command[:4].upper()
            if verb == b"DATA":
                self.say(b"354 go on")
                self.take()
            elif verb == b"EHLO":
                self.say(b"250 mail.test")
            elif verb == b"QUIT":
                self.say(b"221 bye")
                return
            elif verb in (b"MAIL", b"RCPT"):
                self.say(b"550 nobody here" if b"bounce" in command else b"250 fine")
            else:
                self.say(b"250 fine")

    def say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")

    def take(self) -> None:
        lines = iter(self.rfile.readline, b".\r\n")
        postbox: Postbox = self.server  # type: ignore[assignment]
        postbox.taken(b"".join(lines))
        self.say(b"250 taken")


class Postbox(socketserver.ThreadingTCPServer):
    """A mail server that keeps what it gets."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Conversation)
        self.mails: list[email.message.Message] = []
        self._arrived = threading.Condition()

    def taken(self, mail: bytes) -> None:
        with self._arrived:
            self.mails.append(email.message_from_bytes(mail))
            self._arrived.notify_all()

    def wait_for(self, count: int) -> list[email.message.Message]:
        """Give the mails once there are so many."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.mails) >= count, WAIT_SECONDS)
            return list(self.mails)


@pytest.fixture(scope="module")
def postbox() -> Iterator[Postbox]:
    with Postbox() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def muster(tmp_path: Path, postbox: Postbox) -> Iterator[Muster]:
    url = f"smtp://127.0.0.1:{postbox.server_address[1]}"
    with Muster(tmp_path, MUSTER_MAIL_URL=url, MUSTER_MAIL_FROM="muster@plant.example") as running:
        running.background(mailing(running.parts))
        yield running


def forgot(muster: Muster, address: str, source: str = "203.0.113.1") -> tuple[int, str]:
    answer = muster.ask("POST", "/password/reset-request", json={"email": address}, source=source)
    return answer.status_code, answer.text


def test_the_mail_has_a_token_that_sets_one_password(muster: Muster, postbox: Postbox):
    """It ends all tokens of the user, and is good once."""
    user, before = muster.register("jane"), len(postbox.mails)
    assert (201, '{"msg":"Email with reset link is sent"}\n') == forgot(muster, "Jane@example.com")
    mail = postbox.wait_for(before + 1)[-1]
    assert ("jane@example.com", "muster@plant.example") == (mail["To"], mail["From"])
    text = mail.get_payload(decode=True).decode()  # type: ignore[union-attr]
    token = re.search(r'"token": "([^"]+)"', text)
    assert token is not None
    body = {"token": token[1], "password": NEW, "confirm_password": NEW}
    assert 201 == status(muster, "PUT", "/password/reset", None, body)
    assert 401 == status(muster, "GET", "/users/profile", user)
    assert user.id == muster.login("jane", NEW).id
    assert 401 == status(muster, "PUT", "/password/reset", None, body)


def test_the_answer_is_the_same_whoever_exists(muster: Muster, postbox: Postbox):
    """201 for a known, an unknown and an undeliverable address; only the known gets a mail."""
    muster.register("known")
    muster.register("bounce")
    before = len(postbox.mails)
    addresses = ("unknown@example.com", "bounce@example.com", "known@example.com")
    assert 1 == len({forgot(muster, address) for address in addresses})
    assert ["known@example.com"] == [mail["To"] for mail in postbox.wait_for(before + 1)[before:]]


def asked(muster: Muster) -> list[Event]:
    """Give what waits in the outbox for the mail server."""
    events: list[Event] = muster.wait(muster.parts.store.read(lambda tx: tx.select(Event, ANYWHERE)))
    return [event for event in events if event.topic == RECOVERY_ASKED]


def test_what_waits_for_the_mail_server_tells_nothing(tmp_path: Path):
    """The same for whoever exists, and never a token: that is made on the way out."""
    with Muster(tmp_path, **AWAY) as muster:
        muster.register("known")
        addresses = ["known@example.com", "unknown@example.com"]
        assert 1 == len({forgot(muster, address) for address in addresses})
        waiting = asked(muster)
        assert addresses == [event.key for event in waiting]
        assert [{"door": "magistrala"}] * 2 == [event.payload for event in waiting]


def test_a_mail_nobody_takes_is_given_up_in_the_end(tmp_path: Path):
    """Tried again as long as somebody may wait for it; after hours it is over."""
    with Muster(tmp_path, **AWAY) as muster:
        muster.register("known")
        forgot(muster, "known@example.com")
        (event,) = asked(muster)
        recoveries = Recoveries(muster.parts)
        with pytest.raises(Unavailable):
            muster.wait(recoveries.deliver(event))
        muster.wait(recoveries.deliver(replace(event, created_at=Instant(event.created_at - GIVE_UP))))


def test_without_a_mail_server_nothing_waits(tmp_path: Path):
    """Not for one that is named later either."""
    with Muster(tmp_path) as muster:
        muster.register("known")
        assert 201 == forgot(muster, "known@example.com")[0]
        assert [] == asked(muster)


def test_asking_again_and_again_is_slowed_down(muster: Muster, postbox: Postbox):
    """Per source with 429, and per address without a word."""
    muster.register("often")
    before = len(postbox.mails)
    answers = [forgot(muster, "often@example.com")[0] for _ in range(11)]
    assert [*[201] * 10, 429] == answers
    assert 201 == forgot(muster, "often@example.com", "203.0.113.2")[0]
    postbox.wait_for(before + 10)
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        assert before + 10 >= len(postbox.mails)
        time.sleep(0.05)


def test_an_admin_hands_out_a_token(muster: Muster):
    """Where no mail server is; nobody else may."""
    user, admin = muster.register("ann"), muster.admin()
    assert 403 == status(muster, "POST", f"/users/{admin.id}/recovery", user)
    token = muster.make(f"/users/{user.id}/recovery", admin, None)["token"]
    assert 401 == status(muster, "GET", "/users/profile", f"Bearer {token}")
    body = {"password": NEW, "confirm_password": NEW}
    assert 400 == status(
        muster, "PUT", "/password/reset", f"Bearer {token}", {**body, "confirm_password": "x"}
    )
    assert 400 == status(muster, "PUT", "/password/reset", f"Bearer {token}", {"password": "short"})
    assert 401 == status(muster, "PUT", "/password/reset", user, body)
    assert 401 == status(muster, "PUT", "/password/reset", None, body)
    assert 201 == status(muster, "PUT", "/password/reset", f"Bearer {token}", body)
    assert user.id == muster.login("ann", NEW).id
    assert 401 == status(
        muster, "POST", "/users/tokens/issue", None, {"username": "ann", "password": PASSWORD}
    )


def test_a_mail_that_is_not_taken_is_logged_without_what_it_says():
    """Neither address nor token; the request has its answer already."""
    settings = load({"MUSTER_MAIL_URL": "smtp://carl:secret-word@127.0.0.1:9"}).settings
    log = io.BytesIO()
    send = sender_of(settings, json_logger(Lines(log)))
    assert send is not None
    mail = Mail(to="carl@example.com", subject="A new password", text="the token")
    with pytest.raises(Unavailable) as refused:
        asyncio.run(send(mail))
    said = log.getvalue().decode() + str(refused.value)
    assert "mail not delivered" in said
    assert not re.search("carl|token|secret-word", said)
