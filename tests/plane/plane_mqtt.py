"""A device for tests: paho-mqtt with what a test waits for, every wait bounded."""

import queue
import threading
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

WAIT = 30.0
QUIET = 0.3


class Refused(Exception):
    """The broker answered CONNECT with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Device:
    """One MQTT connection. What arrives lies in *inbox* as (topic, payload, qos, retained)."""

    def __init__(
        self,
        port: int,
        username: str,
        password: str,
        *,
        client_id: str | None = None,
        clean: bool = True,
        will: tuple[str, bytes] | None = None,
        transport: str = "tcp",
        retain_will: bool = False,
    ) -> None:
        self.inbox: queue.Queue[tuple[str, bytes, int, bool]] = queue.Queue()
        self.session_present = False
        self._up = threading.Event()
        self.lost = threading.Event()
        self._code = -1
        self._acks: dict[int, Any] = {}
        self._acked = threading.Condition()
        name = f"c-{username}" if client_id is None else client_id
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean, transport=transport
        )
        if transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        self.client.username_pw_set(username, password)
        if will is not None:
            self.client.will_set(will[0], will[1], qos=1, retain=retain_will)
        self.client.on_connect = self._connected
        self.client.on_disconnect = self._disconnected
        self.client.on_message = self._came
        self.client.on_subscribe = self._subscribed
        self.client.reconnect_on_failure = False
        self.client._reconnect_on_failure = False
        self.client.connect("127.0.0.1", port, keepalive=60)
        self.client.loop_start()
        if not self._up.wait(WAIT):
            self.close()
            raise TimeoutError("no CONNACK")
        if self._code:
            self.close()
            raise Refused(self._code)

    def _connected(self, client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
        self.session_present = flags.session_present
        # paho gives MQTT 5 reasons for the return codes of 3.1.1
        self._code = {0: 0, 132: 1, 133: 2, 136: 3, 134: 4, 135: 5}.get(code.value, code.value)
        self._up.set()

    def _disconnected(self, *_: Any) -> None:
        self._up.set()
        self.lost.set()

    def _came(self, client: Any, data: Any, message: paho.MQTTMessage) -> None:
        self.inbox.put((message.topic, message.payload, message.qos, message.retain))

    def _subscribed(self, client: Any, data: Any, mid: int, codes: list[Any], properties: Any) -> None:
        with self._acked:
            self._acks[mid] = [code.value for code in codes]
            self._acked.notify_all()

    def subscribe(self, *filters: str, qos: int = 0) -> list[int]:
        """Subscribe, wait for the SUBACK, give its codes."""
        error, mid = self.client.subscribe([(f, qos) for f in filters])
        assert error == MQTTErrorCode.MQTT_ERR_SUCCESS
        with self._acked:
            assert self._acked.wait_for(lambda: mid in self._acks, WAIT), "no SUBACK"
            return self._acks.pop(mid)

    def publish(self, topic: str, payload: bytes | str, *, qos: int = 0, retain: bool = False) -> None:
        """Publish; with QoS 1 and 2 wait until the broker has taken it."""
        info = self.client.publish(topic, payload, qos=qos, retain=retain)
        if qos:
            info.wait_for_publish(WAIT)
            assert info.is_published()

    def next(self, patience: float = WAIT) -> tuple[str, bytes, int, bool]:
        """Give the next message; waits for it."""
        return self.inbox.get(timeout=patience)

    def heard(self) -> tuple[str, bytes]:
        """Give topic and payload of the next message."""
        topic, payload, _, _ = self.next()
        return topic, payload

    def is_quiet(self, seconds: float = QUIET) -> bool:
        """Say whether nothing (more) arrives for a while."""
        try:
            self.inbox.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def is_empty(self) -> bool:
        """Say whether nothing came with the last SUBACK: what the broker retains comes right behind it."""
        self.subscribe("m/nobody/c/nowhere")
        return self.inbox.empty()

    def was_cut(self, seconds: float = WAIT) -> bool:
        return self.lost.wait(seconds)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def drop(self) -> None:
        """Vanish without DISCONNECT."""
        self.client._sock_close()
        self.client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
