"""The broker asks who connects; the core answers; this turns question and answer into NATS's signed tokens.

Source: nats-server auth callout (ADR-26). Every Muster process answers, as one queue group.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog
from nats.aio.msg import Msg

from muster.core.errors import MusterError, Unavailable
from muster.core.messaging import Reason, Refusal, Rights
from muster.core.model import DeviceId, Secret, TenantId
from muster.plane.admitted import Admitted, admitted
from muster.plane.config import ANSWER_BYTES, DEVICES
from muster.plane.cut import CUT, is_meant, read_cut
from muster.plane.keys import Signer, claims_of
from muster.plane.link import Link
from muster.plane.meters import Meters
from muster.plane.subjects import NOTHING, permissions
from muster.plane.tickets import USERNAME, Ticket, Tickets

log = structlog.get_logger("muster.login")
_QUESTION = "$SYS.REQ.USER.AUTH"
_MADE_UP = re.compile(r"[0-9A-Za-z]{22}")
_REMEMBERED = 100_000
_AT_ONCE = 256
_STILL_WAITING = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a device says of itself when it connects. *source* is its address."""

    username: str
    password: Secret
    client_id: str
    source: str
    certificate_der: bytes | None
    protocol: str
    connection: tuple[str, int] = ("", 0)
    """The broker's server it came to, and its number there."""


Authorise = Callable[[Login], Awaitable[Rights | Refusal]]


def looks_made_up(client_id: str) -> bool:
    """Say whether the broker may have made the client id up, for a device that sent none."""
    return _MADE_UP.fullmatch(client_id) is not None


class ClaimClientId(Protocol):
    """Says whether a session may use an MQTT client id: its own, or nobody's yet."""

    async def __call__(self, client_id: str, tenant_id: TenantId, device_id: DeviceId, *, keep: bool) -> bool:
        """Say it; with *keep* the id is the session's from now on."""


class _Server(msgspec.Struct):
    id: str


class _Client(msgspec.Struct):
    id: int = 0
    host: str = ""
    type: str = ""
    mqtt_id: str = ""
    """Never empty for MQTT, and for nothing else a device may speak."""


class _Options(msgspec.Struct):
    user: str = ""
    password: str = msgspec.field(default="", name="pass")


class _Question(msgspec.Struct):
    server_id: _Server
    user_nkey: str
    client_info: _Client
    connect_opts: _Options


class _Claims(msgspec.Struct):
    iss: str
    nats: _Question


_decode = msgspec.json.Decoder(_Claims).decode


class Callout:
    """Answers the broker's questions."""

    def __init__(
        self,
        link: Link,
        signer: Signer,
        tickets: Tickets,
        meters: Meters,
        *,
        authorise: Authorise,
        claim_client_id: ClaimClientId,
        owner_of: Callable[[str], str | None],
        expect: Callable[[Admitted], Awaitable[None]],
        login_seconds: float = 10,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Prepare. *link* is of the CALLOUT account; *owner_of* tells whose live session has a client id.

        *expect* is told of each device before it is let in; *login_seconds* is the broker's patience.
        """
        self._link = link
        self._signer = signer
        self._tickets = tickets
        self._meters = meters
        self._authorise = authorise
        self._claim = claim_client_id
        self._owner_of = owner_of
        self._expect = expect
        self._now = now
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._patience = login_seconds * _STILL_WAITING
        self._claimed: OrderedDict[str, set[str]] = OrderedDict()
        """The client ids known to be a session's, by session; the latest used last."""
        link.on_message(CUT, self._forget)
        link.on_message(_QUESTION, self._take, queue="muster")

    async def _forget(self, message: Msg) -> None:
        """What is remembered of a device may be wrong once its rights have changed."""
        name = read_cut(message.data)
        if name.endswith("/"):
            for session in [s for s in self._claimed if is_meant(s, name)]:
                del self._claimed[session]
        self._claimed.pop(name, None)

    async def _take(self, message: Msg) -> None:
        self._link.spawn(self._answer_in_turn(message.data, message.reply, time.monotonic()))

    async def _answer_in_turn(self, token: bytes, reply: str, asked_at: float) -> None:
        """In a storm answer those who still wait; work for others would make more wait in vain."""
        async with self._slots:
            if time.monotonic() - asked_at < self._patience:
                await self._answer(token, reply)
            else:
                self._meters.refused[Reason.UNAVAILABLE].inc()

    async def _answer(self, token: bytes, reply: str) -> None:
        started = time.perf_counter()
        try:
            question = self._read(token)
        except (MusterError, msgspec.DecodeError) as error:
            log.warning("login question not understood", says=str(error))
            return
        given = await self._decide(question)
        await self._link.publish(reply, self._write(question, given))
        self._meters.login_seconds.observe(time.perf_counter() - started)

    @staticmethod
    def _read(token: bytes) -> _Question:
        """Read a question. That a server of ours asks, the account says: only servers and Muster speak there.

        The signature could only say that the server made up the key it names itself by.
        """
        claims = _decode(claims_of(token))
        if claims.iss != claims.nats.server_id.id:
            raise Unavailable("the question is not from the server it names")
        return claims.nats

    async def _decide(self, question: _Question) -> Rights | Refusal | Ticket:
        login, ticket = self._login(question)
        if ticket is not None and ticket.evict:
            return ticket
        try:
            decision = await self._admit(login) if login.client_id else Refusal(Reason.UNKNOWN)
        except Exception as error:  # whatever breaks, the broker gets an answer
            log.exception("login failed", error=type(error).__name__)
            decision = Refusal(Reason.UNAVAILABLE)
        if isinstance(decision, Refusal):
            self._meters.refused[decision.reason].inc()
            log.info(
                "login refused", reason=decision.reason.value, source=login.source, device=login.username
            )
        else:
            self._meters.admitted.inc()
        return decision

    def _login(self, question: _Question) -> tuple[Login, Ticket | None]:
        options, client = question.connect_opts, question.client_info
        ticket = self._tickets.read(options.user, options.password, int(self._now()))
        login = Login(
            username=ticket.username if ticket else options.user,
            password=Secret(ticket.password if ticket else options.password),
            client_id=client.mqtt_id,
            source=ticket.source if ticket else client.host,
            certificate_der=ticket.certificate if ticket else None,
            protocol=ticket.protocol if ticket else client.type,
            connection=(question.server_id.id, client.id),
        )
        return login, ticket

    async def _admit(self, login: Login) -> Rights | Refusal:
        rights = await self._authorise(login)
        if isinstance(rights, Refusal):
            return rights
        if not await self._may_use(login.client_id, rights):
            return Refusal(Reason.CLIENT_ID_TAKEN)
        await self._expect(admitted(rights, login.connection, login.client_id, login.source, login.protocol))
        return rights

    async def _may_use(self, client_id: str, rights: Rights) -> bool:
        """Say whether the client id is the device's; the broker would hand it the session that has it now."""
        if client_id in self._claimed.get(rights.session, ()):
            self._claimed.move_to_end(rights.session)
            return True
        if rights.owns_client_id:
            self._remember(client_id, rights.session)
            return True
        is_made_up = looks_made_up(client_id)
        if is_made_up and self._owner_of(client_id) not in {None, rights.session}:
            return False
        # What the broker makes up at each connect is not worth a row; but a device may have chosen it,
        # then it is claimed as soon as the broker keeps a session by it (Sessions).
        if not await self._claim(client_id, rights.tenant_id, rights.device_id, keep=not is_made_up):
            return False
        if not is_made_up:
            self._remember(client_id, rights.session)
        return True

    def _remember(self, client_id: str, session: str) -> None:
        self._claimed.setdefault(session, set()).add(client_id)
        if len(self._claimed) > _REMEMBERED:
            self._claimed.popitem(last=False)

    def _write(self, question: _Question, given: Rights | Refusal | Ticket) -> bytes:
        """Write the answer: a token with the rights inside, or with an error."""
        answer: dict[str, Any] = {"type": "authorization_response", "version": 2}
        if isinstance(given, Refusal):
            answer["error"] = given.reason.value
        else:
            answer["jwt"] = self._signer.sign(self._user(question.user_nkey, given))
        token = self._signer.sign(self._envelope(question, answer)).encode()
        if len(token) > ANSWER_BYTES:
            session = given.session if isinstance(given, Rights) else ""
            reason = "the device has more channels than the broker can be told"
            log.error("login refused", reason=reason, device=session)
            answer = {"type": "authorization_response", "version": 2, "error": Reason.UNAVAILABLE.value}
            token = self._signer.sign(self._envelope(question, answer)).encode()
        return token

    def _envelope(self, question: _Question, answer: dict[str, Any]) -> dict[str, Any]:
        return {
            "sub": question.user_nkey,
            "aud": question.server_id.id,
            "iat": int(self._now()),
            "nats": answer,
        }

    def _user(self, nkey: str, given: Rights | Ticket) -> dict[str, Any]:
        """Say who the connection belongs to and what it may do."""
        if isinstance(given, Ticket):
            name, expires = f"{USERNAME}/evict", given.expires
            publish, subscribe = [NOTHING], [NOTHING]
        else:
            name, expires = given.session, given.expires_at // 1_000_000
            publish, subscribe = permissions(given)
        claims: dict[str, Any] = {
            "name": name,
            "sub": nkey,
            "aud": DEVICES,
            "iat": int(self._now()),
            "nats": {
                "type": "user",
                "version": 2,
                "pub": {"allow": publish},
                "sub": {"allow": subscribe},
                "subs": -1,
                "data": -1,
                "payload": -1,
                "allowed_connection_types": ["MQTT", "MQTT_WS"],
            },
        }
        return {**claims, "exp": expires} if expires else claims
