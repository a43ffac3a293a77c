"""The story of Hono's device provisioning: an operator, a CA, devices nobody registered, over real TLS."""

import asyncio
import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.ca.pki import openssl
from tests.journeys.server import Server, admin_token
from tests.ports import free_port

NOTICE = "application/vnd.eclipse-hono-device-provisioning-notification"


class Station:
    """A running Muster with Hono's adapters open."""

    def __init__(self, folder: Path) -> None:
        self.mqtt, self.mqtts, self.https = free_port(), free_port(), free_port()
        self.server = Server(
            folder,
            MUSTER_ADAPTER_MQTT=f"127.0.0.1:{self.mqtt}",
            MUSTER_ADAPTER_MQTTS=f"127.0.0.1:{self.mqtts}",
            MUSTER_HTTPS=f"127.0.0.1:{self.https}",
        )

    def call(self, method: str, path: str, **request: Any) -> Any:
        with self.server.client(self.token) as http:
            return http.request(method, path, **request)

    def open(self) -> None:
        self.server.start()
        self.token = admin_token(self.server)

    def events(self, tenant: str, wanted: int, after: int = 0) -> list[dict[str, Any]]:
        """Wait for so many messages of the tenant."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 20
        while len(found) < wanted and time.monotonic() < deadline:
            query = {"after": after, "wait": 2}
            answer = self.call("GET", f"/v1/messages/{tenant}", params=query)
            if answer.status_code == 503:  # the broker is still coming up
                time.sleep(0.1)
                continue
            assert answer.status_code == 200, answer.text
            found += answer.json()["messages"]
            after = answer.json()["next"]
        assert len(found) >= wanted, found
        return found


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    opened = Station(tmp_path_factory.mktemp("hono"))
    with_server = opened.server
    try:
        opened.open()
        yield opened
    finally:
        with_server.__exit__(None, None, None)


# --- a CA as operators have them ----------------------------------------------------------------------------


class OpensslCa:
    """Made by openssl, with device certificates of its own or of a sub-CA."""

    def __init__(self, folder: Path, *, key: str, has_intermediate: bool) -> None:
        self.folder, self.key = folder, key
        folder.mkdir()
        self.name = f"Plant {uuid.uuid4().hex[:8]}"
        self._keys("ca")
        extensions = ["-addext", "basicConstraints=critical,CA:TRUE"]
        openssl(
            "req", "-x509", "-new", "-key", folder / "ca.key", "-subj", f"/O=ACME/CN={self.name}",
            "-days", 30, "-out", folder / "ca.pem",
            *(extensions if not _has_default_extensions() else []),
        )  # fmt: skip
        self.signer = "ca"
        if has_intermediate:
            self._sign("line", f"/O=ACME/CN=Line {self.name}", "basicConstraints=critical,CA:TRUE")
            self.signer = "line"

    def _keys(self, name: str) -> None:
        kind = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if self.key == "EC" else ["RSA"]
        openssl("genpkey", "-algorithm", *kind, "-out", self.folder / f"{name}.key")

    def _sign(self, name: str, subject: str, extensions: str) -> None:
        self._keys(name)
        (self.folder / f"{name}.ext").write_text(extensions + "\n")
        request = self.folder / f"{name}.csr"
        openssl("req", "-new", "-key", self.folder / f"{name}.key", "-subj", subject, "-out", request)
        signer = self.folder / self.signer
        openssl(
            "x509", "-req", "-in", request, "-CA", f"{signer}.pem", "-CAkey", f"{signer}.key",
            "-CAcreateserial", "-days", 20, "-extfile", self.folder / f"{name}.ext",
            "-out", self.folder / f"{name}.pem",
        )  # fmt: skip

    def device(self, name: str) -> tuple[Path, Path]:
        """Give certificate chain and key of a device."""
        self._sign(name, f"/O=ACME/CN={name}", "extendedKeyUsage=clientAuth")
        chain = self.folder / f"{name}.chain.pem"
        parts = [f"{name}.pem", *(["line.pem"] if self.signer == "line" else [])]
        chain.write_text("".join((self.folder / part).read_text() for part in parts))
        return chain, self.folder / f"{name}.key"

    @property
    def member(self) -> dict[str, Any]:
        pem = (self.folder / "ca.pem").read_text()
        body = "".join(line for line in pem.splitlines() if "-----" not in line)
        return {"cert": body, "auto-provisioning-enabled": True}


def _has_default_extensions() -> bool:
    """The stock openssl.cnf makes CAs of self-signed certificates; a second basicConstraints is an error."""
    text = openssl("version", "-d")
    place = Path(text.split('"')[1]) / "openssl.cnf"
    return place.exists() and "basicConstraints = critical,CA:true" in place.read_text()


# --- devices ------------------------------------------------------------------------------------------------


def mosquitto(station: Station, chain: Path, key: Path, topic: str, text: str) -> int:
    """Publish over MQTTS with a client certificate; give the exit code, 0 when it was acknowledged."""
    done = subprocess.run(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(station.mqtts), "--insecure", "--cafile",
         str(station.server.folder / "server.pem"), "--cert", str(chain), "--key", str(key),
         "-q", "1", "-t", topic, "-m", text],
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode


def curl(station: Station, chain: Path, key: Path, path: str, text: str) -> int:
    """Post over HTTPS with a client certificate; give the status."""
    done = subprocess.run(
        ["curl", "-sk", "--cert", str(chain), "--key", str(key), "-H", "Content-Type: text/plain", "-o",
         "/dev/null", "-w", "%{http_code}", "--data", text, f"https://127.0.0.1:{station.https}{path}"],
        capture_output=True, timeout=30, check=False, text=True,
    )  # fmt: skip
    return int(done.stdout)


def trust(station: Station) -> None:
    """Write down the CA of the server's certificate, as a device would have been given it."""
    with station.server.client() as http:
        (station.server.folder / "server.pem").write_bytes(http.get("/certs/download-ca").content)


@pytest.mark.parametrize(
    ("key", "has_intermediate"), [("EC", False), ("EC", True), ("RSA", False), ("RSA", True)]
)
def test_the_story_of_the_seed(station: Station, tmp_path: Path, key: str, has_intermediate: bool):
    """Tenant, first contact, event seen, second contact, disabled, refused, deleted, stays out."""
    trust(station)
    ca = OpensslCa(tmp_path / "ca", key=key, has_intermediate=has_intermediate)
    tenant = f"t-{uuid.uuid4().hex[:8]}"
    made = station.call("POST", f"/v1/tenants/{tenant}", json={"trusted-ca": [ca.member]})
    assert made.status_code == 201

    chain, private = ca.device("pump-1")
    assert mosquitto(station, chain, private, "event", "hello") == 0
    messages = {m["headers"]["content-type"]: m for m in station.events(tenant, 2)}
    notice, said = messages[NOTICE], messages["application/octet-stream"]
    assert notice["headers"]["hono_registration_status"] == "NEW"
    assert notice["headers"]["device_id"] == said["headers"]["device_id"]
    assert ("hello", "hono-mqtt", "1") == (
        said["payload"],
        said["headers"]["orig_adapter"],
        said["headers"]["qos"],
    )
    assert not [name for name in said["headers"] if name.startswith("Nats-")]
    device = said["headers"]["device_id"]

    assert curl(station, chain, private, "/event", "again") == 202
    assert mosquitto(station, chain, private, "telemetry/?content-type=text%2Fplain", "22") == 0
    shown = station.call("GET", f"/v1/devices/{tenant}").json()
    assert (1, device) == (shown["total"], shown["result"][0]["id"])
    assert shown["result"][0]["status"]["auto-provisioning-notification-sent"] is True

    path = f"/v1/credentials/{tenant}/{device}"
    (credential,) = station.call("GET", path).json()
    off = [credential | {"enabled": False}]
    assert station.call("PUT", path, json=off).status_code == 204
    assert curl(station, chain, private, "/event", "off") == 401
    assert mosquitto(station, chain, private, "event", "off") != 0
    assert station.call("PUT", path, json=[credential]).status_code == 204
    assert curl(station, chain, private, "/event", "on") == 202

    assert station.call("DELETE", f"/v1/devices/{tenant}/{device}").status_code == 204
    assert curl(station, chain, private, "/event", "gone") == 401
    assert mosquitto(station, chain, private, "event", "gone") != 0
    assert station.call("GET", f"/v1/devices/{tenant}").status_code == 404


def test_a_registered_device_speaks_with_its_password(station: Station):
    """Over MQTT and HTTP; the gateway for its device; what is disabled is cut while it is connected."""
    tenant = f"t-{uuid.uuid4().hex[:8]}"
    body = {"adapters": [{"type": "hono-mqtt", "enabled": True}, {"type": "hono-http", "enabled": True}]}
    assert station.call("POST", f"/v1/tenants/{tenant}", json=body).status_code == 201
    for device, more in (("gw", {}), ("sensor", {"via": ["gw"], "defaults": {"content-type": "x/y"}})):
        assert station.call("POST", f"/v1/devices/{tenant}/{device}", json=more).status_code == 201
    secret = {"type": "hashed-password", "auth-id": "gw-1", "secrets": [{"pwd-plain": "s3cret"}]}
    assert station.call("PUT", f"/v1/credentials/{tenant}/gw", json=[secret]).status_code == 204
    auth = (f"gw-1@{tenant}", "s3cret")

    with station.server.client() as http:
        text = {"Content-Type": "text/plain"}
        for method, path, headers, status, login in (
            ("POST", "/telemetry", text, 202, auth),
            ("POST", "/telemetry", {**text, "qos-level": "1"}, 202, auth),
            ("POST", "/telemetry", {**text, "qos-level": "2"}, 400, auth),
            ("PUT", f"/telemetry/{tenant}/sensor", text, 202, auth),
            ("PUT", "/telemetry//sensor", text, 202, auth),
            ("PUT", "/event//nobody", text, 404, auth),
            ("PUT", "/event/other/sensor", text, 403, auth),
            ("POST", "/event", text, 401, (f"gw-1@{tenant}", "wrong")),
            ("POST", "/event", text, 401, ("gw-1@nothing", "s3cret")),
            ("POST", "/event", text, 401, None),
            ("PUT", f"/event/{tenant}/sensor", text, 401, None),
            ("POST", "/command/res/r1", text, 400, auth),
            ("POST", "/command/res/r1?hono-cmd-status=200", text, 202, auth),
            ("PUT", "/command/res//sensor/r1?hono-cmd-status=200", text, 202, auth),
        ):
            answer = http.request(method, path, content=b"1", headers=headers, auth=login)
            assert (method, path, status) == (method, path, answer.status_code), answer.text
        packed = base64.b64encode(f"gw-1@{tenant}:s3cret".encode()).decode()
        assert http.post("/event", auth=(packed, ""), content=b"1").status_code == 202
        assert http.post("/event", auth=(packed[4:], ""), content=b"1").status_code == 401
        empty = http.post("/event", auth=auth)
        assert empty.status_code == 400
        notification = {"Content-Type": "application/vnd.eclipse-hono-empty-notification"}
        assert http.post("/event", auth=auth, headers=notification).status_code == 202
        assert http.post("/event", auth=auth, headers=notification, content=b"x").status_code == 400
        assert http.put("/event//sensor", auth=auth, content=b"1").status_code == 202
    found = station.events(tenant, 3)
    assert [("gw", None), ("gw", None), ("sensor", "gw")] == [
        (m["headers"]["device_id"], m["headers"].get("via")) for m in found
    ]
    printed = subprocess.run(
        [sys.executable, "-m", "muster", "hono", "consume", tenant, "--rounds", "1",
         "--url", station.server.url],
        env={**os.environ, "MUSTER_TOKEN": station.token, "HOME": str(station.server.folder)},
        capture_output=True, timeout=60, check=False, text=True,
    )  # fmt: skip
    assert printed.returncode == 0, printed.stderr
    assert re.search(r"^event +sensor ", printed.stdout, re.MULTILINE), printed.stdout

    asyncio.run(_cut(station, tenant))


def test_who_is_refused_over_http_is_told_the_status_of_its_reason(station: Station):
    """Device off: 404; gateway, tenant or adapter off: 403; too many guesses: 429 (spec C.2)."""
    tenant = f"t-{uuid.uuid4().hex[:8]}"
    place = f"/v1/tenants/{tenant}"
    assert station.call("POST", place).status_code == 201
    assert station.call("POST", f"/v1/devices/{tenant}/gw").status_code == 201
    assert station.call("POST", f"/v1/devices/{tenant}/edge", json={"via": "gw"}).status_code == 201
    secret = {"type": "hashed-password", "auth-id": "gw", "secrets": [{"pwd-plain": "s3cret"}]}
    assert station.call("PUT", f"/v1/credentials/{tenant}/gw", json=[secret]).status_code == 204

    def said(method: str, path: str, password: str = "s3cret") -> int:
        with station.server.client() as http:
            return http.request(method, path, content=b"1", auth=(f"gw@{tenant}", password)).status_code

    assert (202, 202) == (said("POST", "/event"), said("PUT", "/event//edge"))
    assert station.call("PUT", f"/v1/devices/{tenant}/gw", json={"enabled": False}).status_code == 204
    assert (404, 403) == (said("POST", "/event"), said("PUT", "/event//edge"))
    assert station.call("PUT", f"/v1/devices/{tenant}/gw", json={}).status_code == 204
    for closed in ({"enabled": False}, {"adapters": [{"type": "hono-mqtt", "enabled": True}]}):
        assert station.call("PUT", place, json=closed).status_code == 204
        assert 403 == said("POST", "/event")
    assert station.call("PUT", place, json={}).status_code == 204
    assert 429 in [said("POST", "/event", "wrong") for _ in range(12)]


async def _cut(station: Station, tenant: str) -> None:
    ended, joined = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="gw")
    client.username_pw_set(f"gw-1@{tenant}", "s3cret")
    client.on_connect = lambda *_: loop.call_soon_threadsafe(joined.set)
    client.on_disconnect = lambda *_: loop.call_soon_threadsafe(ended.set)
    client.connect("127.0.0.1", station.mqtt)
    client.loop_start()
    try:
        await asyncio.wait_for(joined.wait(), 30)
        off = await asyncio.to_thread(
            station.call, "PUT", f"/v1/devices/{tenant}/gw", content=json.dumps({"enabled": False}),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        assert off.status_code == 204
        await asyncio.wait_for(ended.wait(), 30)
    finally:
        client.disconnect()
        client.loop_stop()


def test_who_logs_in_right_behind_a_change_stays(station: Station):
    """The word of the change comes later than the device; it ends only what the change ended."""
    tenant = f"t-{uuid.uuid4().hex[:8]}"
    station.call("POST", f"/v1/tenants/{tenant}").raise_for_status()
    ended: dict[str, threading.Event] = {}
    with contextlib.ExitStack() as connected:
        for name in [f"d{n}" for n in range(15)]:
            station.call("POST", f"/v1/devices/{tenant}/{name}").raise_for_status()
            _give_password(station, tenant, name, "first")
            _give_password(station, tenant, name, "second")
            ended[name] = connected.enter_context(_connected(station.mqtt, f"{name}@{tenant}", "second"))
        _give_password(station, tenant, "d7", "third")
        assert ended["d7"].wait(30)
        assert ["d7"] == [name for name, has_ended in ended.items() if has_ended.is_set()]


def _give_password(station: Station, tenant: str, device: str, plain: str) -> None:
    secret = {"type": "hashed-password", "auth-id": device, "secrets": [{"pwd-plain": plain}]}
    station.call("PUT", f"/v1/credentials/{tenant}/{device}", json=[secret]).raise_for_status()


@contextlib.contextmanager
def _connected(port: int, username: str, password: str) -> Iterator[threading.Event]:
    """Connect over MQTT; the event says that the connection has ended."""
    joined, ended = threading.Event(), threading.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=username)
    client.username_pw_set(username, password)
    client.on_connect = lambda *given: None if given[3].is_failure else joined.set()
    client.on_disconnect = lambda *_: ended.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert joined.wait(30)
        yield ended
    finally:
        client.disconnect()
        client.loop_stop()


async def _is_let_in(port: int, client_id: str, password: str, username: str = "unused") -> bool:
    """Connect over MQTT; with a token for a password, as devices that came from Google IoT Core do."""
    loop, told = asyncio.get_running_loop(), asyncio.Queue[bool]()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id)
    client.username_pw_set(username, password)
    client.on_connect = lambda *given: loop.call_soon_threadsafe(told.put_nowait, not given[3].is_failure)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        return await asyncio.wait_for(told.get(), 30)
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_device_speaks_with_a_token_of_its_own(station: Station, tmp_path: Path):
    """Over MQTT and HTTP, for a key made by openssl; the token names the device, or the request does."""
    tenant = f"t-{uuid.uuid4().hex[:8]}"
    for path in (f"/v1/tenants/{tenant}", f"/v1/devices/{tenant}/meter"):
        assert station.call("POST", path).status_code == 201
    key = tmp_path / "device.key"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    pem = openssl("pkey", "-in", key, "-pubout")
    public = "".join(line for line in pem.splitlines() if "-----" not in line)
    secret = {"type": "rpk", "auth-id": "meter", "secrets": [{"key": public, "algorithm": "EC"}]}
    assert station.call("PUT", f"/v1/credentials/{tenant}/meter", json=[secret]).status_code == 204

    now = int(time.time())
    own = {"iat": now, "exp": now + 600, "aud": "hono-adapter", "tid": tenant, "sub": "meter"}
    header, signer = {"alg": "ES256", "typ": "JWT"}, ECKey.import_key(key.read_bytes())
    full = jwt.encode(header, own, signer)
    bare = jwt.encode(header, {"iat": now, "exp": now + 600}, signer)
    place = f"projects/p/registries/{tenant}/devices/meter"
    assert asyncio.run(_is_let_in(station.mqtt, "any", full))
    assert asyncio.run(_is_let_in(station.mqtt, place, bare))
    assert not asyncio.run(_is_let_in(station.mqtt, "any", bare))
    assert not asyncio.run(_is_let_in(station.mqtt, place, bare[:-8] + "AAAAAAAA"))
    with station.server.client() as http:
        for method, path, token, status in (
            ("POST", "/telemetry", full, 202),
            ("PUT", f"/telemetry/{tenant}/meter", bare, 202),
            ("POST", "/event", full, 202),
            ("POST", "/event", bare, 401),
            ("POST", "/event", full[:-8] + "AAAAAAAA", 401),
        ):
            said = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
            answer = http.request(method, path, content=b"1", headers=said)
            assert (method, path, status) == (method, path, answer.status_code), answer.text


def test_a_tenant_that_used_up_its_data_volume_is_told_so(station: Station):
    """429 over HTTP, no CONNACK 0 over MQTT; with more room the devices are back at once."""
    tenant = f"t-{uuid.uuid4().hex[:8]}"
    limits = {"data-volume": {"effective-since": "2026-01-01T00:00:00Z", "max-bytes": 20}}
    limits["data-volume"]["period"] = {"mode": "days", "no-of-days": 36_500}
    body = {"minimum-message-size": 10, "resource-limits": limits}
    assert station.call("POST", f"/v1/tenants/{tenant}", json=body).status_code == 201
    assert station.call("POST", f"/v1/devices/{tenant}/d").status_code == 201
    secret = {"type": "hashed-password", "auth-id": "d", "secrets": [{"pwd-plain": "s3cret"}]}
    assert station.call("PUT", f"/v1/credentials/{tenant}/d", json=[secret]).status_code == 204

    def send() -> int:
        with station.server.client() as http:
            said = {"Content-Type": "text/plain"}
            sent = http.post("/telemetry", content=b"1", auth=(f"d@{tenant}", "s3cret"), headers=said)
        assert "Retry-After" in sent.headers or sent.status_code == 202
        return sent.status_code

    assert [202, 202, 429] == [send() for _ in range(3)]
    deadline = time.monotonic() + 20
    while asyncio.run(_is_let_in(station.mqtt, "d", "s3cret", f"d@{tenant}")):
        assert time.monotonic() < deadline, "the other adapter never learned of it"
    limits["data-volume"]["max-bytes"] = 40
    assert station.call("PUT", f"/v1/tenants/{tenant}", json=body).status_code == 204
    assert 202 == send()
    assert asyncio.run(_is_let_in(station.mqtt, "d", "s3cret", f"d@{tenant}"))
