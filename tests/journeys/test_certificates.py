"""A device's certificate, from /mapping to its revocation, with curl, openssl and mosquitto."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from muster.ca.authority import bundle, make_root
from muster.ca.keys import key_pem
from muster.core.model import Instant
from tests.journeys.fleet import (
    Fleet,
    Operator,
    body_and_status,
    body_of,
    files_of,
    run,
    subscribed,
)
from tests.journeys.server import admin_token


def publish(server: Fleet, topic: str, certificate: tuple[Path, Path], *more: str) -> int:
    done = run(
        "mosquitto_pub", "-h", "localhost", "-p", str(server.mqtts), "--cafile", server.ca,
        "--cert", certificate[0], "--key", certificate[1], "-q", "1", "-t", topic, "-m", "hello", *more,
    )  # fmt: skip
    return done.returncode


def test_from_mapping_to_revocation(tmp_path: Path) -> None:
    """One call gives a certificate that opens bootstrap, MQTT and HTTP; revoked, it opens nothing more."""
    with Fleet(tmp_path) as server:
        server.trust()
        operator = Operator(server)
        made = operator.map()
        assert made == operator.map()
        device = made["clients"][0]["id"]
        channel = next(c["id"] for c in made["channels"] if c["metadata"]["type"] == "data")
        pair = files_of(tmp_path, "gw", made["client_cert"][device], made["client_key"][device])
        assert made["ca_cert"].encode() == server.ca.read_bytes()
        assert (
            0 == run("openssl", "verify", "-CAfile", server.ca, "-purpose", "sslclient", pair[0]).returncode
        )

        shown = ["--cert", pair[0], "--key", pair[1]]
        fetched = body_of(
            server.curl("-H", "Authorization: Client key of gw-1", path="/clients/bootstrap/gw-1")
        )
        assert made["client_cert"][device] == fetched["client_cert"]
        assert made["client_key"][device] == fetched["client_key"]
        by_certificate = body_of(server.curl(*shown, path="/clients/bootstrap/gw-1"))
        assert fetched == by_certificate

        message = f"/channels/{channel}/messages/temperature"
        sent = ["-X", "POST", "-d", "21.5", *shown]
        with subscribed(server, f"channels/{channel}/messages/#", pair) as live:
            assert 0 == publish(server, f"channels/{channel}/messages/x", pair)
            assert b"hello" == live.messages.get(timeout=30)
            assert 202 == body_and_status(server.curl(*sent, path=message))[1]
            assert b"21.5" == live.messages.get(timeout=30)
            done = operator.ask("DELETE", f"/certs/{device}")
            assert 200 == done.status_code, done.text
            assert live.closed.wait(30), "the live session was not cut"
        surfaces = {each["surface"] for each in done.json()["surfaces"]}
        assert {
            "mqtt_login",
            "http_login",
            "live_sessions",
            "bootstrap",
            "renewal",
            "ocsp",
            "crl",
            "ocsp_cached",
            "crl_cached",
        } == surfaces

        refused_everywhere(server, pair, channel)
        server.stop()
        server.start()
        refused_everywhere(server, pair, channel)
        again = operator.map()
        assert {} == again.get("client_cert", {})
        issued = operator.ask("POST", f"/certs/issue/{device}", json={"ttl": "10h"})
        assert 201 == issued.status_code, issued.text
        fresh = files_of(tmp_path, "fresh", issued.json()["certificate"], issued.json()["key"])
        assert 0 == publish(server, f"channels/{channel}/messages/x", fresh)
        assert {device: issued.json()["certificate"]} == operator.map()["client_cert"]


def refused_everywhere(server: Fleet, pair: tuple[Path, Path], channel: str) -> None:
    shown = ["--cert", pair[0], "--key", pair[1]]
    path = f"/channels/{channel}/messages"
    assert 0 != publish(server, f"channels/{channel}/messages/x", pair)
    assert 401 == body_and_status(server.curl("-X", "POST", "-d", "x", *shown, path=path))[1]
    assert 403 == body_and_status(server.curl(*shown, path="/clients/bootstrap/gw-1"))[1]
    key = ["-H", "Authorization: Client key of gw-1"]
    assert 403 == body_and_status(server.curl(*key, path="/clients/bootstrap/gw-1"))[1]
    listed = run("openssl", "crl", "-inform", "DER", "-noout", "-text", data=crl(server)).stdout
    serial = run("openssl", "x509", "-in", pair[0], "-noout", "-serial").stdout.strip().partition("=")[2]
    assert serial in listed
    asked = run(
        "openssl", "ocsp", "-issuer", issuing_ca(server), "-cert", pair[0], "-CAfile", server.ca,
        "-url", f"{server.url}/certs/ocsp",
    )  # fmt: skip
    assert "revoked" in asked.stdout, asked.stdout + asked.stderr
    assert "Response verify OK" in asked.stderr
    assert "nonce" not in asked.stderr, "openssl sends a nonce and warns when it does not come back"


def crl(server: Fleet) -> bytes:
    with server.client() as http:
        return http.get("/certs/crl").content


def issuing_ca(server: Fleet) -> Path:
    path = server.folder / "issuing.crt"
    with server.client() as http:
        path.write_text(http.get("/certs/view-ca").json()["certificate"])
    return path


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption_does_not_bring_a_certificate_back(tmp_path: Path, version: str) -> None:
    """A second connection with the session of the first shows its certificate again, or is not resumed."""
    with Fleet(tmp_path, MUSTER_MQTT="", MUSTER_MQTTS="", MUSTER_MQTT_WS="") as server:
        server.trust()
        operator = Operator(server)
        made = operator.map()
        device = made["clients"][0]["id"]
        pair = files_of(tmp_path, "gw", made["client_cert"][device], made["client_key"][device])
        session = tmp_path / "session"
        request = b"GET /clients/bootstrap/gw-1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

        def connect(*more: str | Path) -> str:
            done = run(
                "openssl", "s_client", "-connect", f"localhost:{server.https}", "-CAfile", server.ca,
                "-verify_return_error", "-cert", pair[0], "-key", pair[1], version, "-ign_eof", *more,
                data=request,
            )  # fmt: skip
            return done.stdout

        first = connect("-sess_out", session)
        assert "HTTP/1.1 200" in first
        assert 200 == operator.ask("DELETE", f"/certs/{device}").status_code
        second = connect(*(["-sess_in", session] if session.exists() else []))
        assert "Reused" not in second
        assert "HTTP/1.1 403" in second


def test_the_command_line_takes_care_of_cas_and_certificates(tmp_path: Path) -> None:
    """Export, roll over, import, issue, list and revoke, as people and scripts do."""
    with Fleet(tmp_path, MUSTER_MQTT="", MUSTER_MQTTS="", MUSTER_MQTT_WS="") as server:
        server.trust()
        operator = Operator(server)
        device = operator.map()["clients"][0]["id"]
        client = {"MUSTER_URL": server.url, "HOME": str(tmp_path)}

        def muster(*words: str | Path, token: str = operator.token) -> str:
            done = subprocess.run(
                [sys.executable, "-m", "muster", *words],
                env={"PATH": os.environ["PATH"], **client, "MUSTER_TOKEN": token},
                capture_output=True, text=True, check=False, timeout=20,
            )  # fmt: skip
            assert 0 == done.returncode, done.stderr
            return done.stdout

        admin, here = admin_token(server), ("-d", operator.domain)
        assert server.ca.read_text() == muster("ca", "export")
        before = json.loads(muster("ca", "show", "-o", "json", token=admin))["authorities"]
        after = json.loads(muster("ca", "rollover", "-o", "json", token=admin))["authorities"]
        assert len(before) + 1 == len(after)
        root = make_root(Instant(time.time_ns() // 1000))
        pair = files_of(tmp_path, "imported", bundle([root.certificate]), key_pem(root.key))
        muster("ca", "import", *pair, token=admin)
        assert "BEGIN CERTIFICATE" in muster("certs", "issue", device, *here, "--ttl", "720h")
        listed = json.loads(muster("certs", "list", *here, "-o", "json"))
        assert 2 == listed["total"]
        serial = (
            listed["certs"][0]["serial_number"]
            if "certs" in listed
            else listed["certificates"][0]["serial_number"]
        )
        assert serial in muster("certs", "view", serial, *here, "-o", "json")
        assert "BEGIN CERTIFICATE" in muster("certs", "renew", serial, *here)
        assert "live_sessions" in muster("certs", "revoke", serial, *here)
        assert "live_sessions" in muster("revoke", device, *here)
        assert 0 == json.loads(muster("certs", "list", *here, "--revoked", "false", "-o", "json"))["total"]


def test_several_workers_share_one_ca(tmp_path: Path, database_url: Callable[[str], str]) -> None:
    """What one process issues, all verify; a rollover in one is noticed by the others."""
    settings = {"MUSTER_DATABASE_URL": database_url("postgresql"), "MUSTER_WORKERS": "2"}
    with Fleet(tmp_path, **settings, MUSTER_MQTT="", MUSTER_MQTTS="", MUSTER_MQTT_WS="") as server:
        server.trust()
        operator = Operator(server)
        device = operator.map()["clients"][0]["id"]
        with server.client(admin_token(server)) as http:
            rolled = http.post("/certs/authorities/rollover")
        assert 201 == rolled.status_code
        issuer = next(each["id"] for each in rolled.json()["authorities"] if each["is_current"])
        for address in (f"/certs/crl/{issuer}", f"/certs/ca/{issuer}", "/.well-known/est/cacerts") * 4:
            assert 200 == httpx.get(f"{server.url}{address}").status_code  # each on a new connection
        for name in ("a", "b", "c", "d"):
            made = operator.ask("POST", f"/certs/issue/{device}", json={"ttl": "10h"}).json()
            pair = files_of(tmp_path, name, made["certificate"], made["key"])
            for _ in range(3):
                answer = server.curl("--cert", pair[0], "--key", pair[1], path="/clients/bootstrap/gw-1")
                assert 200 == body_and_status(answer)[1]


def test_a_repeated_rollover_makes_one_ca(tmp_path: Path) -> None:
    """With an Idempotency-Key, at the same time too. Without one it makes another."""
    with Fleet(tmp_path, MUSTER_MQTT="", MUSTER_MQTTS="", MUSTER_MQTT_WS="") as server:
        admin = admin_token(server)

        def roll_over(**headers: str) -> httpx.Response:
            with server.client(admin) as http:
                return http.post("/certs/authorities/rollover", headers=headers)

        def issuing() -> int:
            with server.client(admin) as http:
                found = http.get("/certs/authorities").json()["authorities"]
            return sum(each["role"] == "issuing" for each in found)

        once = {"Idempotency-Key": "the new year's"}
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: roll_over(**once), range(4)))
        answers.append(roll_over(**once))
        assert {201} == {each.status_code for each in answers}
        assert 1 == len({each.content for each in answers})
        assert 2 == issuing()
        assert answers[0].content != roll_over().content
        assert 3 == issuing()


def test_a_password_over_tls_is_as_good_as_without(tmp_path: Path) -> None:
    """Id and secret at the TLS port; a wrong secret and another device's name are refused."""
    with Fleet(tmp_path) as server:
        server.trust()
        operator = Operator(server)
        made = operator.map()
        device, secret = made["clients"][0]["id"], made["clients"][0]["credentials"]["secret"]
        topic = f"channels/{made['channels'][0]['id']}/messages/x"
        pair = files_of(tmp_path, "gw", made["client_cert"][device], made["client_key"][device])
        common = ["mosquitto_pub", "-h", "localhost", "-p", str(server.mqtts), "--cafile", server.ca]
        common += ["-q", "1", "-t", topic, "-m", "x"]
        assert 0 == run(*common, "-u", device, "-P", secret).returncode
        assert 0 != run(*common, "-u", device, "-P", "wrong").returncode
        assert 0 != run(*common).returncode
        assert 0 == run(*common, "--cert", pair[0], "--key", pair[1], "-u", device).returncode
        assert 0 != run(*common, "--cert", pair[0], "--key", pair[1], "-u", "another").returncode


def test_what_ends_soon_is_announced_once(tmp_path: Path) -> None:
    """In the list, as a metric, and as one line of the log."""
    with Fleet(tmp_path, MUSTER_MQTT="", MUSTER_MQTTS="", MUSTER_MQTT_WS="") as server:
        operator = Operator(server)
        device = operator.map()["clients"][0]["id"]
        short = operator.ask("POST", f"/certs/issue/{device}", json={"ttl": "24h"}).json()
        before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 172_800))
        listed = operator.ask("GET", "/certs", params={"expires_before": before}).json()
        assert [short["serial_number"]] == [each["serial_number"] for each in listed["certificates"]]
        assert 400 == operator.ask("GET", "/certs", params={"expires_before": "soon"}).status_code
        server.stop()
        server.start()  # upkeep looks at the start, and every minute
        deadline = time.monotonic() + 20
        while short["serial_number"] not in server.output():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with server.client() as http:
            assert "muster_certificates_expiring 1.0" in http.get("/metrics").text
        assert 1 == server.output().count("certificate expires soon")
