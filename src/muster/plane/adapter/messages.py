"""What CONNECT and PUBLISH mean: who a device says it is, and which message it sends (spec/hono C.1, C.3)."""

import base64
import binascii
import re
from dataclasses import dataclass

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.packets import Connect, Publish
from muster.plane.adapter.ports import (
    EMPTY_NOTIFICATION,
    AdapterDevice,
    CommandSubscription,
    Failure,
    Message,
    MessageKind,
    Password,
)
from muster.plane.adapter.topics import Address, BadTopic, Bag, read_address, split_bag


class Rejected(Exception):
    """The message breaks a rule of the adapter."""

    def __init__(self, status: int, text: str) -> None:
        """Carry what the device is told."""
        super().__init__(text)
        self.failure = Failure(status=status, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What of a PUBLISH matters when it fails; as much of it as could be read."""

    bag: Bag
    address: Address | None
    packet_id: int

    @property
    def correlation_id(self) -> str:
        """Names the message in an error report: the device's own word, else the packet identifier."""
        return self.bag.correlation_id or str(self.packet_id or -1)


def read_login(connect: Connect) -> Password | None:
    """Split `auth-id@tenant` at the first `@`; without a password the user name may hold all in Base64."""
    return split_login(connect.username or "", connect.password)


def split_login(name: str, secret: bytes | None) -> Password | None:
    """Do as read_login, for a user name and a password that came in any other way."""
    if not secret:
        try:
            name, _, text = base64.b64decode(name, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        secret = text.encode()
    auth_id, _, tenant = name.partition("@")
    if not (auth_id and tenant and secret):
        return None
    return Password(auth_id=auth_id, tenant=tenant, secret=secret)


_TOKEN = re.compile(r"eyJ[\w-]{8,4096}\.[\w-]{8,8192}\.[\w-]{40,2048}", re.ASCII)
"""Header and claims are JSON objects: both begin with `{"`."""


def token_in(text: str) -> str:
    """Give the text if it looks like a JSON Web Token, else nothing."""
    return text if _TOKEN.fullmatch(text) else ""


def read_token(connect: Connect) -> str:
    """Give the token that a device shows in the place of the password; its user name means nothing then."""
    try:
        return token_in((connect.password or b"").decode("ascii"))
    except ValueError:
        return ""


def named_by(client_id: str) -> tuple[str, str] | None:
    """Read tenant and auth id from a client id such as `…/tenants/<tenant>/devices/<auth id>`."""
    parts = client_id.split("/")
    return (parts[-3], parts[-1]) if len(parts) >= 4 and parts[-3] and parts[-1] else None


def read_origin(packet: Publish) -> tuple[Origin, Rejected | None]:
    """Read the topic, as far as it can be read; what is wrong with it is returned, not raised."""
    packet_id = packet.packet_id if packet.qos == 1 else 0
    bag, address = Bag(), None
    try:
        path, bag = split_bag(packet.topic)
        address = read_address(path)
    except BadTopic as error:
        return Origin(bag=bag, address=address, packet_id=packet_id), Rejected(400, str(error))
    return Origin(bag=bag, address=address, packet_id=packet_id), None


def read_message(
    packet: Publish, origin: Origin, sender: AdapterDevice | None, *, payload_size: int
) -> Message:
    """The message a PUBLISH carries; *sender* is None when nobody authenticated. Raises Rejected."""
    address, bag = origin.address, origin.bag
    assert address is not None
    _check_qos(address.kind, packet.qos)
    if len(packet.payload) > payload_size:
        raise Rejected(413, f"the payload is larger than {payload_size} bytes")
    if address.kind is not MessageKind.COMMAND_RESPONSE:
        _check_payload(packet.payload, bag.content_type)
    tenant, device = _target(address, sender)
    return Message(
        kind=address.kind,
        tenant_id=tenant,
        device_id=device,
        via=None if sender is None or device == sender.device_id else sender.device_id,
        qos=packet.qos,
        payload=packet.payload,
        content_type=bag.content_type,
        ttl=bag.ttl,
        request_id=address.request_id,
        status=address.status,
        is_retained=packet.retain,
        is_authenticated=sender is not None,
        topic=packet.topic,
        properties=bag.others,
    )


def _check_qos(kind: MessageKind, qos: int) -> None:
    if kind is MessageKind.EVENT and qos != 1:
        raise Rejected(400, "events are published with QoS 1")
    if qos == 2:
        raise Rejected(400, "QoS 2 is not supported")


def _check_payload(payload: bytes, content_type: str | None) -> None:
    if payload and content_type == EMPTY_NOTIFICATION:
        raise Rejected(400, "an empty notification has no payload")
    if not payload and content_type is None:
        raise Rejected(400, "an empty payload needs a content type")


def _target(address: Address, sender: AdapterDevice | None) -> tuple[TenantId, DeviceId]:
    if sender is None:
        if not (address.tenant and address.device):
            raise Rejected(400, "without authentication the topic must name tenant and device")
        return TenantId(address.tenant), DeviceId(address.device)
    if address.tenant and address.tenant != sender.tenant_id:
        raise Rejected(403, "a gateway acts for devices of its own tenant only")
    return sender.tenant_id, DeviceId(address.device) if address.device else sender.device_id


def notification(wanted: CommandSubscription, *, ttd: int) -> Message:
    """The empty notification that tells applications for how long commands reach the device."""
    gateway = wanted.gateway_id
    return Message(
        kind=MessageKind.EVENT,
        tenant_id=wanted.tenant_id,
        device_id=wanted.device_id,
        via=None if gateway == wanted.device_id else gateway,
        qos=1,
        payload=b"",
        content_type=EMPTY_NOTIFICATION,
        ttd=ttd,
    )
