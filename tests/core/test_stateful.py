"""Whatever operators do in whatever order, the database agrees with a simple model of it."""

import asyncio
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from muster.ca.secrets import Keyring
from muster.core import bootstrap, connections, messaging, provision, registry, tenancy, unprovision
from muster.core import model as m
from muster.core.errors import AlreadyConnected, Conflict, MusterError, NotFound, SameStatus
from muster.core.layout import DEFAULT
from muster.core.model import Flow, Secret, Status
from muster.core.planning import Request
from muster.core.ports import Order, Tx, Window
from muster.core.registry import NewChannel, NewDevice
from muster.store import upkeep
from muster.store.engine import open_store
from tests.conftest import TestClock
from tests.core.conftest import register

ALL = {"order": Order("created_at"), "window": Window(0, None)}
FLOWS = st.sampled_from([Flow.PUBLISH, Flow.SUBSCRIBE, Flow.BOTH])
EXTERNAL = st.sampled_from(["gw1", "gw2"])
KEYS = st.sampled_from(["key1", "key2"])


class Fleet(RuleBasedStateMachine):
    """Devices, channels, connections and mappings, here and in the store."""

    devices = Bundle("devices")
    channels = Bundle("channels")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'fleet.db'}"
        upkeep.upgrade(url)
        self.store = open_store(url, Keyring(b"a master key of tests, 32 bytes at least"), TestClock())
        self.secrets = itertools.count()
        self.status: dict[str, Status] = {}
        """Of every device that there is."""
        self.secret: dict[str, str] = {}
        self.open: dict[str, Status] = {}
        """The status of every channel that there is."""
        self.flows: dict[tuple[str, str], Flow] = {}
        """By channel and device."""
        self.made: dict[str, tuple[str, list[str], list[str]]] = {}
        """By external id: the key, and the devices and channels the call made."""

    def teardown(self) -> None:
        self.store.close()
        self.runner.close()
        self.folder.cleanup()

    @initialize()
    def a_tenant(self) -> None:
        self.owner = self.runner.run(self.store.run(register, "owner"))
        tenant = self.runner.run(self.store.run(tenancy.create_tenant, self.owner, tenancy.NewTenant()))
        self.tenant = tenant.id

    def do(self, use_case: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return self.runner.run(self.store.run(use_case, self.owner, self.tenant, *args, **more))

    def refused(
        self, error: type[MusterError], use_case: Callable[..., Any], *args: Any, **more: Any
    ) -> None:
        with pytest.raises(error):
            self.do(use_case, *args, **more)

    # --- devices and channels

    def _know(self, made: list[m.Device]) -> list[str]:
        for device in made:
            assert device.secret is not None
            self.status[device.id], self.secret[device.id] = device.status, device.secret.reveal()
        return [device.id for device in made]

    @rule(target=devices, count=st.integers(1, 4))
    def create_devices(self, count: int) -> Any:
        return multiple(*self._know(self.do(registry.create_devices, [NewDevice()] * count)))

    @rule(target=channels, count=st.integers(1, 3))
    def create_channels(self, count: int) -> Any:
        ids = [one.id for one in self.do(registry.create_channels, [NewChannel()] * count)]
        self.open |= dict.fromkeys(ids, Status.ENABLED)
        return multiple(*ids)

    @rule(device=devices)
    def bulk_with_one_that_is_taken(self, device: str) -> None:
        several = [NewDevice(), NewDevice(id=device), NewDevice()]
        if device in self.status:
            self.refused(Conflict, registry.create_devices, several)

    @rule(device=devices)
    def rotate(self, device: str) -> None:
        secret = f"secret {next(self.secrets)}"
        if self.status.get(device) is not Status.ENABLED:
            self.refused(NotFound, registry.rotate_secret, device, Secret(secret))
            return
        self.do(registry.rotate_secret, device, Secret(secret))
        self.secret[device] = secret

    @rule(device=devices, status=st.sampled_from([Status.ENABLED, Status.DISABLED]))
    def set_device_status(self, device: str, status: Status) -> None:
        self._set_status(self.status, m.Device, device, status)

    @rule(channel=channels, status=st.sampled_from([Status.ENABLED, Status.DISABLED]))
    def set_channel_status(self, channel: str, status: Status) -> None:
        self._set_status(self.open, m.Channel, channel, status)

    def _set_status(self, known: dict[str, Status], kind: type, entity: str, status: Status) -> None:
        if entity not in known:
            self.refused(NotFound, registry.set_status, kind, entity, status)
        elif known[entity] is status:
            self.refused(SameStatus, registry.set_status, kind, entity, status)
        else:
            self.do(registry.set_status, kind, entity, status)
            known[entity] = status

    @rule(device=devices)
    def delete_device(self, device: str) -> None:
        if device not in self.status:
            self.refused(NotFound, registry.delete_device, device)
            return
        self.do(registry.delete_device, device)
        self._forget({device}, set())

    @rule(channel=channels)
    def delete_channel(self, channel: str) -> None:
        if channel not in self.open:
            self.refused(NotFound, registry.delete_channel, channel)
            return
        self.do(registry.delete_channel, channel)
        self._forget(set(), {channel})

    def _forget(self, devices: set[str], channels: set[str]) -> None:
        for device in devices:
            del self.status[device], self.secret[device]
        for channel in channels:
            del self.open[channel]
        kept = {pair: flow for pair, flow in self.flows.items() if not {*pair} & (devices | channels)}
        self.flows = kept
        for external_id, (_, made, joined) in list(self.made.items()):
            made[:] = [one for one in made if one not in devices]
            joined[:] = [one for one in joined if one not in channels]
            if not made and not joined:
                del self.made[external_id]

    # --- connections

    @rule(channel=channels, device=devices, flow=FLOWS)
    def connect(self, channel: str, device: str, flow: Flow) -> None:
        held = self.flows.get((channel, device), Flow(0))
        ends = (self.open.get(channel), self.status.get(device))
        if ends != (Status.ENABLED, Status.ENABLED):
            self.refused(NotFound, connections.connect, [channel], [device], flow)
        elif held & flow:
            self.refused(AlreadyConnected, connections.connect, [channel], [device], flow)
        else:
            self.do(connections.connect, [channel], [device], flow)
            self.flows[channel, device] = held | flow

    @rule(channel=channels, device=devices, flow=FLOWS)
    def disconnect(self, channel: str, device: str, flow: Flow) -> None:
        if channel not in self.open or device not in self.status:
            self.refused(NotFound, connections.disconnect, [channel], [device], flow)
            return
        self.do(connections.disconnect, [channel], [device], flow)
        left = self.flows.pop((channel, device), Flow(0)) & ~flow
        if left:
            self.flows[channel, device] = left

    # --- mappings

    @rule(target=devices, external_id=EXTERNAL, key=KEYS)
    def map(self, external_id: str, key: str) -> Any:
        known, request = (
            self.made.get(external_id),
            Request(external_id=external_id, external_key=Secret(key)),
        )
        call = (provision.provision, DEFAULT, DEFAULT.digest(), request)
        if known is not None and known[1] and known[0] != key:
            self.refused(Conflict, *call)
            return multiple()
        answer = self.do(*call)
        shown = {one.id: one.secret.reveal() for one in answer.devices}
        if known is not None and known[1]:
            assert known[1:] == ([*shown], [one.id for one in answer.channels])
            assert {one: self.secret[one] for one in known[1]} == shown
            return multiple()
        devices = self._know(list(answer.devices))
        joined = [one.id for one in answer.channels]
        self.open |= dict.fromkeys(joined, Status.ENABLED)
        self.flows |= {(channel, device): Flow.BOTH for channel in joined for device in devices}
        self.made[external_id] = (key, devices[:], joined)
        return multiple(*devices)

    @rule(target=channels, external_id=EXTERNAL)
    def channels_of_a_mapping(self, external_id: str) -> Any:
        return multiple(*self.made.get(external_id, ("", [], []))[2])

    @rule(external_id=EXTERNAL)
    def take_back(self, external_id: str) -> None:
        known = self.made.get(external_id)
        if known is None:
            self.refused(NotFound, unprovision.unprovision, external_id)
            return
        gone = self.do(unprovision.unprovision, external_id, is_forced=True)
        assert (set(known[1]), set(known[2])) == (set(gone.devices), set(gone.channels))
        self._forget(set(known[1]), set(known[2]))

    # --- what holds whatever happened

    @invariant()
    def the_store_agrees(self) -> None:
        if not hasattr(self, "tenant"):
            return
        devices = self.do(registry.list_devices, **ALL)
        assert {one.id: one.status for one in devices.items} == self.status
        assert {one.id: one.secret.reveal() for one in devices.items} == self.secret
        assert devices.total == len(self.status)
        channels = self.do(registry.list_channels, **ALL)
        assert {one.id: one.status for one in channels.items} == self.open
        assert channels.total == len(self.open)

        def links(tx: Tx) -> dict[tuple[str, str], Flow]:
            return {(c.channel_id, c.device_id): c.flow for c in tx.select(m.Connection, self.tenant)}

        assert self.runner.run(self.store.read(links)) == self.flows

    @invariant()
    def who_may_take_part_does(self) -> None:
        """A device logs in with its newest secret and is let on its open channels, unless it is disabled."""
        for device, status in self.status.items():
            admitted = self.runner.run(self.store.read(messaging.login, device, Secret(self.secret[device])))
            if status is not Status.ENABLED:
                assert isinstance(admitted, messaging.Refusal)
                continue
            may = {channel for channel, member in self.flows if member == device}
            may = {channel for channel in may if self.open[channel] is Status.ENABLED}
            assert may == {one.channel_id for one in admitted.channels}

    @invariant()
    def every_gateway_can_fetch(self) -> None:
        """With the newest secret, and the channels that are left."""
        for external_id, (key, made, _) in self.made.items():
            if not made or self.status[made[0]] is not Status.ENABLED:
                continue
            view = self.runner.run(self.store.read(bootstrap.fetch, external_id, Secret(key)))
            assert self.secret[made[0]] == view.device.secret.reveal()
            assert all(channel.id in self.open for channel in view.channels)


TestFleet = Fleet.TestCase
TestFleet.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
