"""Only connected devices publish and subscribe: asserted cell by cell, on a real broker with real clients."""

import itertools
import time

import pytest
from plane_fleet import BOTH, PUBLISH, SUBSCRIBE, Device
from plane_mqtt import Refused
from plane_station import Station
from structlog.testing import capture_logs

from muster.core.model import Secret
from muster.plane.config import DEVICES, SYSTEM
from muster.plane.link import Link
from muster.plane.tickets import USERNAME

REFUSED = [0x80]
NONE = (False, False)
RIGHTS = [PUBLISH, SUBSCRIBE, BOTH, NONE]
NOT_AUTHORISED, BAD_CLIENT_ID = 5, 2


def test_sixty_four_devices_do_what_they_were_given_and_nothing_else(station: Station):
    """Every device against every channel, in each direction and both address forms; foreign channels too."""
    channels = [station.fleet.channel(f"mx-{t}-{n}", t) for t in ("mx1", "mx2") for n in range(2)]
    devices: list[Device] = []
    for number, (tenant, first, second) in enumerate(itertools.product(("mx1", "mx2"), RIGHTS, RIGHTS)):
        for twin in ("a", "b"):
            device = station.fleet.device(f"mx-d{number}{twin}", tenant)
            device.channels = {f"mx-{tenant}-0": first, f"mx-{tenant}-1": second}
            devices.append(device)
    assert len(devices) == 64
    auditor = station.fleet.device("mx-auditor", "mx1", **dict.fromkeys(channels, SUBSCRIBE))
    expected: set[tuple[str, bytes]] = set()
    with station.connect(auditor) as ear:
        ear.subscribe(*[f"channels/{c}/messages/#" for c in channels])
        for device in devices:
            with station.connect(device) as d:
                for channel in channels:
                    may_publish, may_subscribe = device.channels.get(channel, NONE)
                    for name in (f"channels/{channel}/messages", f"m/{device.tenant}/c/{channel}"):
                        assert d.subscribe(f"{name}/#") == ([0] if may_subscribe else REFUSED)
                        d.publish(f"{name}/audit", f"{device.id} {name}", qos=1)
                        if may_publish:
                            expected.add(
                                (f"channels/{channel}/messages/audit", f"{device.id} {name}".encode())
                            )
        heard = [ear.heard() for _ in expected]
        assert set(heard) == expected
        assert len(heard) == len(expected)
        assert ear.is_quiet()


@pytest.mark.parametrize(
    "topic",
    [
        "channels/+/messages",
        "channels/#",
        "#",
        "+/+/+",
        "m/#",
        "m/+/c/wild-channel",
        "m/t1/c/+",
        "m/t1/c/#",
        "m/t2/c/wild-channel",
        "channels/*/messages",
        "channels/>",
        "channels/wild-channel",
        "channels/wild-channel/other",
        "channels/wild-channel/messages-too",
        "$MQTT/msgs/#",
        "$MQTT/sess/#",
        "$MQTT/sub/x",
        "$SYS/#",
        "$JS/API/#",
        "_INBOX/#",
        "_MUSTER/#",
        "_MUSTER/nothing",
        "$share/g/channels/wild-channel/messages",
    ],
)
def test_no_wildcard_reaches_across_channels_or_into_the_broker(station: Station, topic: str):
    """What names no channel of the device, or more than one, is refused."""
    device = station.fleet.device("wild", wild_channel=SUBSCRIBE)
    with station.connect(device) as d:
        assert d.subscribe(topic) == REFUSED
        assert d.subscribe("channels/wild-channel/messages") == [0]


@pytest.mark.parametrize("topic", ["+", "#", "a/+/c", "a/#", "+/b", "a.b/+", "*", ">"])
def test_wildcards_work_inside_a_channel(station: Station, topic: str):
    """`+` and `#` stand for sub-topics."""
    device = station.fleet.device("inside", inside_channel=SUBSCRIBE)
    with station.connect(device) as d:
        assert d.subscribe(f"channels/inside-channel/messages/{topic}") == [0]
        assert d.subscribe(f"m/t1/c/inside-channel/{topic}") == [0]


def test_a_wrong_secret_an_unknown_and_a_disabled_device_are_not_let_in(station: Station):
    """CONNACK says: not authorised. The counters say why."""
    device = station.fleet.device("barred", barred_channel=BOTH)
    before = {
        why: station.count("muster_logins_total", outcome=why)
        for why in ("unknown", "wrong_secret", "disabled")
    }
    assert _refusal(station, device, password="wrong") == NOT_AUTHORISED
    device.is_enabled = False
    assert _refusal(station, device) == NOT_AUTHORISED
    stranger = Device("t1", "stranger", "x")
    assert _refusal(station, stranger) == NOT_AUTHORISED
    after = {why: station.count("muster_logins_total", outcome=why) for why in before}
    assert after == {why: count + 1 for why, count in before.items()}


def _refusal(station: Station, device: Device, **how) -> int:
    with pytest.raises(Refused) as refused:
        station.connect(device, **how)
    return refused.value.code


@pytest.mark.parametrize(("channels", "is_let_in"), [(500, True), (1_500, False)])
def test_a_device_on_more_channels_than_the_broker_can_be_told_is_refused_with_the_reason(
    station: Station, channels: int, *, is_let_in: bool
):
    """The broker would say nothing to the device and Muster take it for let in."""
    rights = {f"of-many-{channels}-{n:036}": BOTH for n in range(channels)}
    device = station.fleet.device(f"many-{channels}", **rights)
    with capture_logs() as said:
        if is_let_in:
            station.connect(device).close()
        else:
            assert _refusal(station, device) == NOT_AUTHORISED
    refused = [line.get("device") for line in said if line["event"] == "login refused"]
    assert refused == ([] if is_let_in else [f"t1/many-{channels}"])


def test_without_a_password_nobody_comes_in(station: Station):
    """Neither does a name alone, nor nobody at all."""
    device = station.fleet.device("nameless", nameless_channel=BOTH)
    assert station.raw_connack(device, client_id="n1", flags=0x82) == NOT_AUTHORISED
    assert station.raw_connack(device, client_id="n2", flags=0x02) == NOT_AUTHORISED


def test_a_client_id_belongs_to_the_device_that_used_it_first(station: Station):
    """Another device, of the same tenant or of another, is refused before it evicts or inherits anything."""
    owner = station.fleet.device("id-owner", "id-t1", id_channel=BOTH)
    neighbour = station.fleet.device("id-neighbour", "id-t1", id_channel=BOTH)
    foreigner = station.fleet.device("id-foreigner", "id-t2")
    with station.connect(owner, client_id="thermometer", clean=False) as d:
        d.subscribe("channels/id-channel/messages/#", qos=1)
        for other in (neighbour, foreigner):
            for clean in (True, False):
                assert _refusal(station, other, client_id="thermometer", clean=clean) == NOT_AUTHORISED
        assert not d.was_cut(0.2)
    for other in (neighbour, foreigner):
        assert _refusal(station, other, client_id="thermometer", clean=False) == NOT_AUTHORISED
    with station.connect(owner, client_id="thermometer", clean=False) as d:
        assert d.session_present


def test_a_client_id_of_the_form_the_broker_makes_up_is_protected_too(station: Station):
    """Such an id is claimed when its session is to be kept, and defended while it is connected."""
    made_up = "ABCDEFGHIJKLMNOPQRST01"
    owner = station.fleet.device("nuid-owner", nuid_channel=BOTH)
    other = station.fleet.device("nuid-other", nuid_channel=BOTH)
    with station.connect(owner, client_id=made_up) as d:
        assert station.eventually(lambda: station.plane.live.owner_of(made_up) == "t1/nuid-owner")
        assert _refusal(station, other, client_id=made_up) == NOT_AUTHORISED
        assert not d.was_cut(0.1)
    with station.connect(owner, client_id=made_up, clean=False) as d:
        assert station.eventually(lambda: made_up in station.fleet.claims)
    assert _refusal(station, other, client_id=made_up) == NOT_AUTHORISED


def test_an_empty_client_id_is_good_with_a_clean_session_only(station: Station):
    """Else CONNACK 2; and what the broker makes up instead is not kept for ever."""
    device = station.fleet.device("no-id", no_id_channel=BOTH)
    claims = len(station.fleet.claims)
    with station.connect(device, client_id="") as d:
        assert d.subscribe("channels/no-id-channel/messages") == [0]
    assert len(station.fleet.claims) == claims
    assert station.raw_connack(device, client_id="", flags=0xC0) == BAD_CLIENT_ID


def test_a_will_on_a_channel_without_the_right_to_publish_is_not_sent(station: Station):
    """A will is authorised as a publish (spec E.3 says upstream forgot it); nor is it retained."""
    reader = station.fleet.device("will-reader", will_a=SUBSCRIBE, will_b=SUBSCRIBE)
    writer = station.fleet.device("will-writer", will_a=PUBLISH, will_b=SUBSCRIBE)
    with station.connect(reader) as r:
        r.subscribe("channels/will-a/messages/#", "channels/will-b/messages/#")
        for channel in ("will-b", "will-a"):
            will = (f"channels/{channel}/messages/gone", channel.encode())
            station.connect(writer, will=will, retain_will=True).drop()
        assert r.heard() == ("channels/will-a/messages/gone", b"will-a")
        assert r.is_quiet()
    with station.connect(reader) as r:
        r.subscribe("channels/will-b/messages/#")
        assert r.is_empty()


def test_mqtt_over_websocket_is_the_same(station: Station):
    """At the path /mqtt."""
    device = station.fleet.device("ws-device", ws_channel=BOTH)
    with station.connect(device, transport="websockets") as d:
        assert d.subscribe("channels/ws-channel/messages/#", "channels/elsewhere/messages") == [0, 0x80]
        d.publish("channels/ws-channel/messages/x", "over websocket", qos=1)
        assert d.heard() == ("channels/ws-channel/messages/x", b"over websocket")


def test_a_session_of_a_user_token_ends_with_the_token(station: Station):
    """Rights that expire cut the session by themselves."""
    device = station.fleet.device("short-lived", short_channel=BOTH)
    device.expires_at = int((time.time() + 2) * 1_000_000)
    with station.connect(device) as d:
        assert d.was_cut()


def test_a_ticket_carries_a_certificate_and_where_the_device_came_from(station: Station):
    """The TLS front logs a device in with what it verified; anybody else's ticket is a wrong password."""
    device = station.fleet.device("with-certificate", certificate_channel=BOTH)
    ticket = station.plane.tickets.write(
        int(time.time()), username=device.id, certificate=device.id.encode(), source="192.0.2.7"
    )
    as_front = Device("t1", USERNAME, ticket)
    with station.connect(as_front, client_id="front-1"):
        assert station.eventually(lambda: len(station.plane.live.of("t1/with-certificate")) == 1)
        assert station.plane.live.of("t1/with-certificate")[0].source == "192.0.2.7"
        assert station.plane.live.of("t1/with-certificate")[0].protocol == "mqtts"
    assert station.fleet.logins[-1].source == "192.0.2.7"
    late = station.plane.tickets.write(int(time.time()) - 60, username=device.id, certificate=b"x")
    for wrong in (ticket[:-4] + "AAAA", late, "", "not base64!"):
        assert _refusal(station, Device("t1", USERNAME, wrong), client_id="front-2") == NOT_AUTHORISED


def test_no_secret_is_in_what_a_login_prints(station: Station):
    """Neither passwords nor tickets show themselves."""
    device = station.fleet.device("secretive", secretive_channel=BOTH)
    with station.connect(device):
        login = next(x for x in station.fleet.logins if x.username == "secretive")
    assert login.password == Secret(device.secret)
    assert device.secret not in repr(login)
    assert repr(station.keys) == "Keys(…)"


@pytest.mark.parametrize("account", [DEVICES, SYSTEM])
def test_nobody_can_ask_the_callout_from_another_account(station: Station, account: str):
    """So that whoever asks there is a server of ours, or Muster: no other has keys of that account."""
    link = Link([station.broker.url], station.keys, account)

    async def ask() -> bytes | None:
        link.start()
        try:
            await link.wait_up(5)
            return await link.request("$SYS.REQ.USER.AUTH", b"a question")
        finally:
            await link.stop()

    assert station.run(ask()) is None
