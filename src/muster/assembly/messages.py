"""Messages: the broker, and what it asks of the core, joined through the store."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from muster.assembly.parts import Parts
from muster.ca.facts import identity_of
from muster.ca.secrets import Keyring
from muster.core import events, messaging, pki, presence
from muster.core.certificates import Shown
from muster.core.errors import TooMany, Unavailable
from muster.core.messaging import Reason, Refusal, Rights
from muster.core.model import DeviceId, Event, TenantId
from muster.core.ports import Deliver
from muster.core.presence import Sighting
from muster.core.throttle import Throttle
from muster.plane.broker import Broker, find_binary, free_ports
from muster.plane.callout import Login
from muster.plane.config import Limits, Node
from muster.plane.keys import Keys
from muster.plane.meters import Meters
from muster.plane.publish import Retention
from muster.plane.service import Plane, Ports
from muster.plane.subjects import Address
from muster.settings import Settings

_LOOPBACK = "127.0.0.1"
ELECTION_SECONDS = 0.5
REMEMBERED_SECONDS, REMEMBERED_AMONG_OTHERS = 30.0, 0.8
"""How long a device that publishes over HTTP is not looked up again: where every change passes this process,
and where another process may change its rights and the word of it may be late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the broker is reached: its NATS addresses and its plain MQTT doors."""

    urls: tuple[str, ...]
    doors: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """What lets devices speak: the plane, and the broker where it is Muster's own."""

    plane: Plane
    broker: Broker | None
    place: Place
    leads: bool
    """Whether the plane is the one of the installation that cuts, copies and reports."""

    async def start(self) -> None:
        """Begin. The broker may come later, or go and come back; provisioning works all the same."""
        if self.broker is not None:
            await self.broker.start()
        self.plane.start()

    async def stop(self) -> None:
        """End the connections to the broker, and the broker where it is Muster's own."""
        await self.plane.stop()
        if self.broker is not None:
            await self.broker.stop()


def broker_keys(keyring: Keyring) -> Keys:
    """Give the keys that Muster and its broker share; derived, so that every process has the same."""
    return Keys(keyring.token_keys("broker", 32)[0])


def broker_limits(settings: Settings) -> Limits:
    """Give what the broker is allowed to take."""
    return Limits(payload_bytes=settings.max_message_bytes, connections=settings.mqtt_max_connections)


def own_node(parts: Parts) -> Node:
    """Give the configuration of the embedded broker."""
    settings = parts.configuration.settings
    mqtt, websocket = settings.mqtt, settings.mqtt_ws
    inner, spare = free_ports(2, _LOOPBACK)
    return Node(
        name="muster",
        data=settings.data_dir / "nats",
        nats=(_LOOPBACK, inner),
        mqtt=(mqtt.host, mqtt.port) if mqtt is not None else (_LOOPBACK, spare),
        websocket=(websocket.host, websocket.port) if websocket is not None else None,
        limits=broker_limits(settings),
    )


def wants_messages(parts: Parts) -> bool:
    """Say whether any door for messages is open."""
    settings = parts.configuration.settings
    adapters = (settings.adapter_mqtt, settings.adapter_mqtts)
    return any((settings.nats_url, settings.mqtt, settings.mqtts, settings.mqtt_ws, *adapters))


def messages_of(parts: Parts) -> Messages | None:
    """Join plane and core in the first process of a machine; None when the settings open no door."""
    settings = parts.configuration.settings
    if not wants_messages(parts):
        return None
    if settings.nats_url is not None:
        doors = tuple((door.host, door.port) for door in settings.nats_mqtt or ())
        place = Place(urls=tuple(settings.nats_url.reveal().split(",")), doors=doors)
        # Others may share the cluster: which process leads, the database decides (see Leader).
        return following(parts, place)
    node = own_node(parts)
    binary = str(settings.nats_binary) if settings.nats_binary is not None else None
    meters = Meters(parts.registry)
    keys, count = broker_keys(parts.keyring), meters.dropped.inc
    broker = Broker(find_binary(binary), node, keys, on_refused=count)
    place = Place(urls=(broker.url,), doors=(node.mqtt,))
    plane = _plane(parts, place, leads=True, meters=meters)
    parts.store.on_emitted(plane.passages.changed)
    return Messages(plane=plane, broker=broker, place=place, leads=True)


def no_messages(parts: Parts) -> Messages:
    """Give what answers for a broker where the settings want none: every message is Unavailable."""
    return following(parts, Place(urls=(), doors=()))


def following(parts: Parts, place: Place) -> Messages:
    """Join plane and core in a process that another one leads."""
    plane = _plane(parts, place, leads=False)
    parts.store.on_emitted(plane.passages.changed)
    return Messages(plane=plane, broker=None, place=place, leads=False)


def _plane(parts: Parts, place: Place, *, leads: bool, meters: Meters | None = None) -> Plane:
    return Plane(
        remembers=REMEMBERED_SECONDS if parts.store.is_alone else REMEMBERED_AMONG_OTHERS,
        meters=meters,
        urls=place.urls,
        doors=place.doors,
        keys=broker_keys(parts.keyring),
        ports=_ports(parts),
        registry=parts.registry,
        leads=leads,
        payload_bytes=parts.configuration.settings.max_message_bytes,
        retention=_retention(parts),
    )


def _retention(parts: Parts) -> Retention | None:
    settings = parts.configuration.settings
    age = settings.messages_max_age.total_seconds()
    return Retention(seconds=age, bytes=settings.messages_max_bytes) if age else None


# --- what the broker asks, answered through the store --------------------------------------------------


def _ports(parts: Parts) -> Ports:
    answers = _Answers(parts)
    return Ports(
        authorise=answers.authorise,
        claim_client_id=answers.claim_client_id,
        client_ids=answers.client_ids,
        rights_of=answers.rights_of,
        resolve=answers.resolve,
        seen=answers.seen,
    )


class _Answers:
    def __init__(self, parts: Parts) -> None:
        settings = parts.configuration.settings
        self._store = parts.store
        self._clock = parts.clock
        self._throttle = Throttle(
            limit=settings.throttle_attempts, period=int(settings.throttle_window.total_seconds())
        )

    async def authorise(self, login: Login) -> Rights | Refusal:
        if login.certificate_der is not None:
            return await self._by_certificate(login.certificate_der, login)
        key = (login.username, login.source)
        try:
            self._throttle.check(key, self._clock())
        except TooMany:
            return Refusal(Reason.THROTTLED)
        answer = await self._store.read(messaging.login, login.username, login.password, login.client_id)
        if isinstance(answer, Refusal) and answer.reason is not Reason.CLIENT_ID_TAKEN:
            self._throttle.failed(key, self._clock())
        return answer

    async def _by_certificate(self, certificate: bytes, login: Login) -> Rights | Refusal:
        """Let a device in whose chain the TLS front verified."""
        serial, fingerprint = identity_of(certificate)
        shown = Shown(serial=serial, fingerprint=fingerprint)
        return await self._store.read(pki.login, shown, login.username, login.client_id)

    async def claim_client_id(
        self, client_id: str, tenant_id: TenantId, device_id: DeviceId, *, keep: bool
    ) -> bool:
        if keep:
            return await self._store.run(messaging.claim_client_id, client_id, tenant_id, device_id)
        held = await self._store.read(messaging.holds_client_id, client_id, tenant_id, device_id)
        return held is not False

    async def client_ids(self, tenant: TenantId, device: DeviceId) -> Sequence[str]:
        return await self._store.read(messaging.client_ids_of, tenant, device)

    async def rights_of(self, tenant: TenantId, device: DeviceId) -> Rights | Refusal:
        return await self._store.read(messaging.rights_of, tenant, device)

    async def resolve(self, channel: str, tenant_name: str | None) -> Address | None:
        found = await self._store.read(messaging.resolve, channel, tenant_name)
        if found is None:
            return None
        return Address(found.channel_id, found.tenant_id, found.route, found.tenant_alias)

    async def seen(self, sightings: Sequence[Sighting]) -> None:
        await self._store.run(presence.note_seen, sightings)


class Leader:
    """The plane that leads, in whichever process of the installation the database has chosen."""

    def __init__(self, parts: Parts, messages: Messages) -> None:
        self._parts = parts
        self._messages = messages
        self._elected: Plane | None = None

    @property
    def plane(self) -> Plane:
        """The plane that leads. Unavailable while it is not in this process."""
        plane = self._messages.plane if self._messages.leads else self._elected
        if plane is None:
            raise Unavailable("another process leads")
        return plane

    async def run(self) -> None:
        """Lead while chosen, until cancelled; with a broker of its own there is nothing to choose."""
        while not self._messages.leads:
            await self._follow(is_chosen=self._parts.store.delivers)
            await asyncio.sleep(ELECTION_SECONDS)

    async def _follow(self, *, is_chosen: bool) -> None:
        if is_chosen and self._elected is None:
            meters = self._messages.plane.meters
            self._elected = _plane(self._parts, self._messages.place, leads=True, meters=meters)
            self._elected.start()
        elif not is_chosen:
            await self.stop()

    async def stop(self) -> None:
        """Lead no longer."""
        plane, self._elected = self._elected, None
        if plane is not None:
            await plane.stop()


class Delivery:
    """Where the events of the outbox go."""

    def __init__(self, parts: Parts, leader: Leader | None, more: Sequence[Deliver] = ()) -> None:
        self._store = parts.store
        self._leader = leader
        self._log = parts.log
        self._pki = parts.pki
        self._more = more

    async def __call__(self, event: Event) -> None:
        """Deliver one; an exception means: again later."""
        for deliver in self._more:
            await deliver(event)
        if self._leader is not None:
            await self._leader.plane.deliver(event)
        if event.topic == events.CERTIFICATE_EXPIRING:
            self._log.warning(
                "certificate expires soon", tenant=event.tenant_id, device=event.key, **event.payload
            )
        if event.topic == events.CERTIFICATE_REVOKED:
            await self._pki.revoked(event.payload["issuer"], event.key)
        if event.topic == events.ACCESS_ENDED:
            # Only now may another device use the client ids of one that was deleted.
            await self._store.run(messaging.release_client_ids, event.tenant_id, DeviceId(event.key))
