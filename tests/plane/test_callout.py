"""Questions and answers of the broker as tokens: only true ones are answered, with what was decided."""

import asyncio
import base64
import json
import secrets
from collections.abc import Awaitable, Callable

import nkeys
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from plane_fleet import BOTH, Fleet
from prometheus_client import CollectorRegistry

from muster.plane.callout import Callout
from muster.plane.keys import Keys, Signer, claims_of
from muster.plane.meters import Meters
from muster.plane.tickets import USERNAME, Tickets

KEYS = Keys(bytes(range(32)))
SERVER_SEED, OTHER_SEED = bytes(32), b"\1" * 32
USER = "UAUSER"


class Line:
    """The callout's end of a link: hands questions in, and keeps what is answered."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[..., Awaitable[None]]] = {}
        self.answers: list[bytes] = []
        self.work: list[Awaitable[None]] = []

    def on_message(self, subject: str, handle: Callable[..., Awaitable[None]], *, queue: str = "") -> None:
        self.handlers[subject] = handle

    def spawn(self, work: Awaitable[None]) -> None:
        self.work.append(work)

    async def publish(self, subject: str, payload: bytes) -> None:
        self.answers.append(payload)


class Question:
    """What nats-server hands over."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reply = "reply"


def public(seed: bytes) -> str:
    raw = bytearray([13 << 3]) + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return base64.b32encode(raw + nkeys.crc16_checksum(raw)).rstrip(b"=").decode()


def question(
    user: str, password: str, client_id: str, *, signed_by: bytes = SERVER_SEED, names: str = ""
) -> bytes:
    signer = Signer(Ed25519PrivateKey.from_private_bytes(signed_by), public(signed_by))
    return signer.sign(
        {
            "nats": {
                "server_id": {"id": names or public(signed_by)},
                "user_nkey": USER,
                "client_info": {"host": "192.0.2.1", "type": "mqtt", "mqtt_id": client_id},
                "connect_opts": {"user": user, "pass": password},
            }
        }
    ).encode()


def ask(fleet: Fleet, data: bytes) -> list[dict]:
    """Give the answers' claims, each checked to be signed by the issuer."""
    line = Line()

    async def ready(_: object) -> None:
        return

    async def run() -> None:
        Callout(
            line,  # type: ignore[arg-type]
            KEYS.signer(),
            Tickets(KEYS),
            Meters(CollectorRegistry()),
            authorise=fleet.authorise,
            claim_client_id=fleet.claim_client_id,
            owner_of=lambda _: None,
            expect=ready,
            now=lambda: 1000.0,
        )
        await line.handlers["$SYS.REQ.USER.AUTH"](Question(data))
        await asyncio.gather(*line.work)

    asyncio.run(run())
    return [claims(answer) for answer in line.answers]


def claims(token: bytes) -> dict:
    signed, _, signature = token.rpartition(b".")
    KEYS.signer().key.public_key().verify(base64.urlsafe_b64decode(signature + b"=="), signed)
    return json.loads(claims_of(token))


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet()
    fleet.device("d", c=BOTH)
    return fleet


def test_a_true_question_is_answered_with_the_rights(fleet: Fleet):
    """For the very connection, server and account; for nothing but MQTT."""
    [answer] = ask(fleet, question("d", "secret of d", "id-1"))
    assert (answer["sub"], answer["aud"], answer["nats"]["type"]) == (
        USER,
        public(SERVER_SEED),
        "authorization_response",
    )
    user = claims(answer["nats"]["jwt"].encode())
    assert (user["sub"], user["aud"], user["name"]) == (USER, "DEVICES", "t1/d")
    subjects = ["channels.c.messages", "channels.c.messages.>", "m.t1.c.c", "m.t1.c.c.>"]
    assert (user["nats"]["pub"], user["nats"]["sub"]) == ({"allow": subjects}, {"allow": subjects})
    assert user["nats"]["allowed_connection_types"] == ["MQTT", "MQTT_WS"]
    assert "exp" not in user


def test_a_refusal_is_an_error_with_the_reason_and_no_rights(fleet: Fleet):
    """The broker logs the reason; the device learns none."""
    [answer] = ask(fleet, question("d", "wrong", "id-1"))
    assert answer["nats"]["error"] == "wrong_secret"
    assert "jwt" not in answer["nats"]


def test_a_connection_without_a_client_id_is_no_device(fleet: Fleet):
    """A NATS client with a device's secret is not let in."""
    [answer] = ask(fleet, question("d", "secret of d", ""))
    assert answer["nats"]["error"] == "unknown"


def test_a_failing_core_is_a_refusal(fleet: Fleet):
    """Whatever broke, the device gets its CONNACK and may try again."""

    async def broken(_: object) -> None:
        raise RuntimeError("database on fire")

    fleet.authorise = broken  # type: ignore[method-assign, assignment]
    [answer] = ask(fleet, question("d", "secret of d", "id-1"))
    assert answer["nats"]["error"] == "unavailable"


@pytest.mark.parametrize(
    "forged",
    [
        question("d", "secret of d", "id-1", signed_by=OTHER_SEED, names=public(SERVER_SEED)),
        question("d", "secret of d", "id-1").replace(b".", b".e30", 1),
        KEYS.signer().sign({"nats": {}}).encode(),
        b"",
        b"...",
        b"not a token",
        b"\xff\xfe.\xff.\xff",
    ],
)
def test_what_is_no_question_of_the_server_it_names_is_not_answered(fleet: Fleet, forged: bytes):
    """Not even with a refusal."""
    assert ask(fleet, forged) == []


def test_a_device_on_more_channels_than_the_broker_can_be_told_is_refused(fleet: Fleet):
    """Instead of an answer the broker would cut off."""
    for n in range(9000):
        fleet.devices["d"].channels[fleet.channel(f"channel-{n:036}")] = BOTH
    [answer] = ask(fleet, question("d", "secret of d", "id-1"))
    assert answer["nats"]["error"] == "unavailable"


@given(st.text(max_size=80), st.text(max_size=200))
def test_only_our_tickets_are_tickets(username: str, password: str):
    """Whatever somebody sends as password."""
    assert Tickets(KEYS).read(username, password, 0) is None
    assert Tickets(KEYS).read(USERNAME, password, 0) is None


def test_a_ticket_reads_back_until_it_is_too_old_and_only_with_our_keys():
    """Every process of the installation can read it, nobody else can write it."""
    ticket = Tickets(KEYS).write(1000, username="d", certificate=b"DER", source="192.0.2.9")
    read = Tickets(Keys(KEYS.seed)).read(USERNAME, ticket, 1030)
    assert read is not None
    assert (read.username, read.certificate, read.source, read.evict) == ("d", b"DER", "192.0.2.9", False)
    assert Tickets(KEYS).read(USERNAME, ticket, 1031) is None
    assert Tickets(KEYS).read("d", ticket, 1000) is None
    assert Tickets(Keys(secrets.token_bytes(32))).read(USERNAME, ticket, 1000) is None


def test_each_role_has_keys_of_its_own():
    """Derived from one seed, the same in each process."""
    roles = ("issuer", "SYSTEM", "CALLOUT", "DEVICES")
    assert len({KEYS.nkey(role) for role in roles}) == len(roles)
    assert [KEYS.public(role)[0] for role in roles] == ["A", "U", "U", "U"]
    assert [Keys(KEYS.seed).nkey(role) for role in roles] == [KEYS.nkey(role) for role in roles]
