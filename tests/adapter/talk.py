"""A session without sockets, and the device at its other end."""

from datetime import UTC, datetime

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.actions import (
    Action,
    Authenticate,
    Forward,
    Register,
    Rules,
    Send,
)
from muster.plane.adapter.decoder import Decoder
from muster.plane.adapter.packets import (
    Connack,
    Connect,
    Packet,
    Publish,
    Subscribe,
    encode,
)
from muster.plane.adapter.ports import (
    AdapterDevice,
    Failure,
)
from muster.plane.adapter.session import Peer, Session

STARTED = datetime(2026, 11, 20, 12, tzinfo=UTC)
T, DEV, OTHER = TenantId("T"), DeviceId("dev"), DeviceId("other")
DEVICE = AdapterDevice(tenant_id=T, device_id=DEV)
CONNECT = Connect(client_id="c", username="auth@T", password=b"secret")
LOST = Failure(status=503, text="no consumer")
GONE = Failure(status=404, text="the device is disabled", is_terminal=True)


class Talk:
    """A session and the device at its other end; sent packets are read back, other actions kept."""

    def __init__(
        self, rules: Rules | None = None, *, is_full: bool = False, chain_der: tuple[bytes, ...] = ()
    ):
        peer = Peer(source="192.0.2.1", chain_der=chain_der, sni="host")
        self.now = 100.0
        self.session = Session(
            rules=rules or Rules(), peer=peer, now=self.now, started_at=STARTED, is_full=is_full
        )
        self._decoder = Decoder()

    def heard(self, actions: list[Action]) -> list[Packet | Action]:
        """The actions, with what is sent read as packets."""
        result: list[Packet | Action] = []
        for action in actions:
            if not isinstance(action, Send):
                result.append(action)
                continue
            self._decoder.feed(action.data)
            while (packet := self._decoder.next()) is not None:
                result.append(packet)
        return result

    def say(self, *packets: Packet) -> list[Packet | Action]:
        return self.heard(self.session.feed(b"".join(map(encode, packets)), self.now))

    def open(self, connect: Connect = CONNECT) -> "Talk":
        (asked,) = self.say(connect)
        assert isinstance(asked, Authenticate)
        assert self.heard(self.session.authenticated(DEVICE, self.now)) == [Connack()]
        return self

    def forward(self, topic: str, payload: bytes = b"x", qos: int = 1, packet_id: int = 7) -> Forward:
        """Publish and expect that it is forwarded."""
        (forward,) = self.publish(topic, payload, qos, packet_id)
        assert isinstance(forward, Forward)
        return forward

    def publish(
        self, topic: str, payload: bytes = b"x", qos: int = 1, packet_id: int = 7
    ) -> list[Packet | Action]:
        return self.say(Publish(topic=topic, payload=payload, qos=qos, packet_id=packet_id if qos else 0))

    def answer(self, forward: Forward, failure: Failure | None = None) -> list[Packet | Action]:
        assert forward.ticket is not None
        return self.heard(self.session.forwarded(forward.ticket, failure, self.now))

    def listen(self, *filters: str, qos: int = 1) -> list[Packet | Action]:
        """Subscribe, with every registration granted; what follows the last one."""
        heard = self.say(Subscribe(packet_id=1, filters=tuple((text, qos) for text in filters)))
        while isinstance(heard[0], Register):
            heard = self.heard(self.session.registered(True, self.now))
        return heard
