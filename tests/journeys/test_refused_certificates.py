"""What is no good certificate, request or question is refused with a reason, and leaves nothing behind."""

import base64
import concurrent.futures
import datetime as dt
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from muster.ca.authority import Authority, bundle, make_issuing, make_root
from muster.ca.keys import key_pem, make_key
from muster.ca.leaf import Leaf, issue_leaf, issue_server
from muster.core.model import Instant
from tests.journeys.fleet import Fleet, Operator, body_and_status, files_of, run
from tests.journeys.server import admin_token, new_user

HOUR = dt.timedelta(hours=1)
QUIET = {"MUSTER_MQTT": "", "MUSTER_MQTTS": "", "MUSTER_MQTT_WS": ""}


def now() -> Instant:
    return Instant(time.time_ns() // 1000)


def leaf(ca: Authority, tenant: str, device: str, **more: Any) -> Leaf:
    given = {"ttl": HOUR, "now": now()} | more
    return issue_leaf(ca, make_key(), tenant_id=tenant, device_id=device, **given)


def self_signed(device: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
    start = dt.datetime.now(dt.UTC) - HOUR
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + 3 * HOUR)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode(), key_pem(key)


def test_no_forged_chain_opens_anything(tmp_path: Path) -> None:
    """Expired, early, self-signed, of another CA, for servers, unknown to us, of a chain too long: 401."""
    old = make_root(Instant(now() - 10 * 86_400_000_000))
    ours = make_issuing(old, Instant(now() - 10 * 86_400_000_000))
    stranger = make_issuing(make_root(now()), now())
    with Fleet(tmp_path) as server:
        take_over(server, ours, above=old)
        server.trust()
        operator = Operator(server)
        device = operator.map()["clients"][0]["id"]
        tenant = operator.domain
        past, future = Instant(now() - 86_400_000_000), Instant(now() + 7_200_000_000)
        long = [make_root(now()) for _ in range(6)]
        server_key = make_key()
        forged = {
            "expired": leaf(ours, tenant, device, now=past),
            "early": leaf(ours, tenant, device, now=future),
            "stranger": leaf(stranger, tenant, device),
            "unknown": leaf(ours, tenant, device),
        }
        files = {
            name: files_of(tmp_path, name, made.certificate, made.key.reveal() if made.key else "")
            for name, made in forged.items()
        }
        files["self"] = files_of(tmp_path, "self", *self_signed(device))
        for_servers = issue_server(ours, server_key, now=now())
        files["server"] = files_of(tmp_path, "server", for_servers.certificate, key_pem(server_key))
        good = operator.ask("POST", f"/certs/issue/{device}", json={"ttl": "10h"}).json()
        whole = good["certificate"] + "".join(bundle([each.certificate]) for each in long)
        files["long"] = files_of(tmp_path, "long", whole, good["key"])
        path = f"/channels/{'c' * 36}/messages"
        for name, pair in files.items():
            done = server.curl("-X", "POST", "-d", "x", "--cert", pair[0], "--key", pair[1], path=path)
            assert 401 == body_and_status(done)[1], name
            bootstrap = server.curl("--cert", pair[0], "--key", pair[1], path="/clients/bootstrap/gw-1")
            assert body_and_status(bootstrap)[1] in (401, 403), name
        pair = files_of(tmp_path, "good", good["certificate"], good["key"])
        fetched = server.curl("--cert", pair[0], "--key", pair[1], path="/clients/bootstrap/gw-1")
        assert 200 == body_and_status(fetched)[1]


def take_over(server: Fleet, ca: Authority, above: Authority) -> None:
    with server.client(admin_token(server)) as http:
        body = {"certificates": bundle([ca.certificate, above.certificate]), "key": key_pem(ca.key)}
        answer = http.post("/certs/authorities/import", json=body)
        assert 201 == answer.status_code, answer.text
        assert [ca.id] == [each["id"] for each in answer.json()["authorities"] if each["is_current"]]


ABSURD = ["-1h", "abc", "1000000000h", "0s", "0.1s", "10", "876001h"]


def test_bad_requests_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    """Absurd lifetimes, unknown kinds of keys, broken requests and questions: 400, and no certificate."""
    with Fleet(tmp_path, **QUIET, MG_PROVISION_X509_PROVISIONING="false") as server:
        operator = Operator(server)
        device = operator.map()["clients"][0]["id"]
        for ttl in ABSURD:
            answer = operator.ask("POST", "/certs", json={"client_id": device, "ttl": ttl})
            assert 400 == answer.status_code, (ttl, answer.text)
        bodies: list[dict[str, Any]] = [
            {"ttl": "1h"},
            {"client_id": device, "ttl": 3600},
            {"client_id": device, "key_type": "dsa"},
            {"client_id": device, "key_type": "rsa", "key_bits": 1024},
            {"client_id": device, "csr": "nonsense"},
            {"client_id": device, "csr": "A" * 40_000},
        ]
        for body in bodies:
            assert 400 == operator.ask("POST", "/certs", json=body).status_code, body
        assert 404 == operator.ask("POST", "/certs", json={"client_id": "nobody"}).status_code
        assert 0 == operator.ask("GET", "/certs").json()["total"]
        with server.client() as http:
            broken = http.post("/certs/ocsp", content=b"\x30\x03\x02\x01")
            assert b"\x30\x03\x0a\x01\x01" == broken.content  # malformedRequest (RFC 6960, 4.2.1)
            assert 400 == http.post("/certs/ocsp", json={"serial": 1}).status_code
            deep = http.post(
                "/certs/ocsp",
                content=b'{"a":' * 9000 + b"1" + b"}" * 9000,
                headers={"Content-Type": "application/json"},
            )
            assert 400 == deep.status_code
            assert 404 == http.post("/certs/ocsp", json={"serial_number": "7f"}).status_code
            assert 404 == http.get("/certs/crl/ffff").status_code
            assert 400 == http.get("/certs/crl?format=docx").status_code


def test_others_certificates_are_nobodys_business(tmp_path: Path) -> None:
    """View, list, renew, revoke and the CAs themselves: for whoever they belong to, and nobody else."""
    with Fleet(tmp_path, **QUIET) as server:
        owner = Operator(server)
        device = owner.map()["clients"][0]["id"]
        serial = owner.ask("GET", "/certs").json()["certificates"][0]["serial_number"]
        assert "PRIVATE KEY" in owner.ask("GET", f"/certs/{serial}").json()["key"]
        stranger = Operator(server, "mallory")
        attempts = [
            ("GET", f"/certs/{serial}"),
            ("GET", f"/serials/{device}"),
            ("PATCH", f"/certs/{serial}/renew"),
            ("PATCH", f"/certs/{serial}/revoke"),
            ("DELETE", f"/certs/{device}"),
            ("DELETE", f"/certs/{device}/delete"),
            ("GET", "/certs"),
        ]
        with server.client(stranger.token) as http:
            for method, path in attempts:
                assert 403 == http.request(method, f"/{owner.domain}{path}").status_code, (method, path)
            for method, path in attempts[:-1]:
                own = http.request(method, f"/{stranger.domain}{path}")
                assert own.status_code in (403, 404), (method, path, own.text)
            assert 403 == http.get("/certs/authorities").status_code
            assert 403 == http.post("/certs/authorities/rollover").status_code
        with server.client() as http:
            assert 401 == http.get("/certs/authorities").status_code
        assert owner.ask("GET", f"/certs/{serial}").json()["revoked"] is False


def test_a_rollover_refuses_no_handshake(tmp_path: Path) -> None:
    """While CAs are rolled over, old and new certificates open doors, and clients go on trusting us."""
    with Fleet(tmp_path, **QUIET) as server:
        server.trust()
        operator = Operator(server)
        made = operator.map()
        device = made["clients"][0]["id"]
        pair = files_of(tmp_path, "old", made["client_cert"][device], made["client_key"][device])
        stop, failures, count = threading.Event(), [], [0]

        def knock() -> None:
            while not stop.is_set():
                done = server.curl("--cert", pair[0], "--key", pair[1], path="/clients/bootstrap/gw-1")
                count[0] += 1
                if 200 != body_and_status(done)[1]:
                    failures.append(done)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            knocking = pool.submit(knock)
            try:
                with server.client(admin_token(server)) as http:
                    for body in ({}, {"root": True}):
                        seen = count[0]
                        assert 201 == http.post("/certs/authorities/rollover", json=body).status_code
                        fresh = operator.ask("POST", f"/certs/issue/{device}", json={"ttl": "10h"}).json()
                        new = files_of(tmp_path, "new", fresh["certificate"], fresh["key"])
                        shown = server.curl("--cert", new[0], "--key", new[1], path="/clients/bootstrap/gw-1")
                        assert 200 == body_and_status(shown)[1]
                        until(lambda seen=seen: count[0] >= seen + 5)
            finally:
                stop.set()
            knocking.result(20)
        assert failures == []
        shown_now = run("openssl", "s_client", "-connect", f"localhost:{server.https}", "-CAfile", server.ca,
                        "-verify_return_error")  # fmt: skip
        assert "Verify return code: 0 (ok)" in shown_now.stdout
        current = httpx.get(f"{server.url}/certs/view-ca").json()["certificate"]
        assert (
            current
            in run("openssl", "s_client", "-connect", f"localhost:{server.https}", "-showcerts").stdout
        )


def until(is_true: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_kill_leaves_no_certificate_that_nobody_knows(tmp_path: Path) -> None:
    """Whatever left the server before kill -9 is in its records afterwards."""
    with Fleet(tmp_path, **QUIET, MG_PROVISION_X509_PROVISIONING="false") as server:
        operator = Operator(server)
        device = operator.map()["clients"][0]["id"]
        received: list[str] = []

        def issue() -> None:
            with server.client(operator.token) as http:
                while True:
                    try:
                        answer = http.post(
                            f"/{operator.domain}/certs", json={"client_id": device, "ttl": "1h"}
                        )
                        received.append(answer.json()["serial_number"])
                    except httpx.TransportError:
                        return

        for round_ in range(2):
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                works = [pool.submit(issue) for _ in range(4)]
                wanted = len(received) + 40
                until(lambda wanted=wanted: len(received) >= wanted)
                server.kill()
                for each in works:
                    each.result(20)
            server.start()
            with server.client(operator.token) as http:
                for serial in received[-30:]:
                    assert 200 == http.get(f"/{operator.domain}/certs/{serial}").status_code, round_


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_each_kind_of_key_is_issued_and_shown_as_mainflux_shows_it(tmp_path: Path, kind: str) -> None:
    """The seed's request with `rsa_bits`, and its siblings; then the seed's way to revoke."""
    with Fleet(tmp_path, **QUIET) as server:
        server.trust()
        new_user(server, "jane")
        with server.client() as http:
            token = http.post("/tokens", json={"email": "jane@example.com", "password": "12345678"}).json()[
                "token"
            ]
            http.headers["Authorization"] = token
            location = http.post("/things", json={"name": "weio"}).headers["Location"]
            thing = location.rpartition("/")[2]
            body = {"thing_id": thing, "key_type": kind} | ({"rsa_bits": 2048} if kind == "rsa" else {})
            made = http.post("/certs", json=body)
            assert 201 == made.status_code, made.text
            shown = made.json()
            assert (thing, thing) == (shown["ThingID"], shown["thing_id"])
            pair = files_of(tmp_path, "thing", shown["ClientCert"], shown["ClientKey"])
            assert 0 == run("openssl", "verify", "-CAfile", server.ca, pair[0]).returncode
            listed = http.get(f"/certs/{thing}")
            assert (201, 1) == (listed.status_code, listed.json()["total"])
            ended = http.request("DELETE", "/certs/revoke", json={"thing_id": thing})
            assert 200 == ended.status_code
            assert "RevocationTime" in ended.json()
        crl = httpx.get(f"{server.url}/certs/crl")
        assert (
            304
            == httpx.get(
                f"{server.url}/certs/crl", headers={"If-None-Match": crl.headers["etag"]}
            ).status_code
        )
        pem = httpx.get(f"{server.url}/certs/crl?format=pem").text
        assert crl.content == base64.b64decode("".join(pem.splitlines()[1:-1]))
