"""Devices that enrol and renew by themselves, with curl and openssl (RFC 7030)."""

from pathlib import Path

from tests.journeys.fleet import Fleet, Operator, body_and_status, files_of, run

ENROL, RENEW = "/.well-known/est/simpleenroll", "/.well-known/est/simplereenroll"
TYPE = ("-H", "Content-Type: application/pkcs10")


def request_for(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    """Make a key and a signing request, as a device does; what it calls itself is not looked at."""
    key, csr = folder / f"{name}.key", folder / f"{name}.csr"
    done = run(
        "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/CN=whoever", "-outform", "DER", "-keyout", key, "-out", csr, *more,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return key, csr


def certificate_of(folder: Path, name: str, body: str) -> Path:
    """Take the certificate out of an answer: PKCS #7, DER in Base64."""
    path = folder / f"{name}.crt"
    decoded = run("openssl", "base64", "-d", data=body).stdout
    assert decoded is not None
    packed = folder / f"{name}.p7"
    packed.write_text(f"-----BEGIN PKCS7-----\n{body}-----END PKCS7-----\n")
    done = run("openssl", "pkcs7", "-in", packed, "-print_certs", "-out", path)
    assert 0 == done.returncode, done.stderr
    return path


def test_a_device_enrols_with_its_external_key_and_renews_with_its_certificate(tmp_path: Path) -> None:
    """Both certificates work until the old one is revoked; the new one is for the same device."""
    with Fleet(tmp_path, MG_PROVISION_X509_PROVISIONING="false") as server:
        server.trust()
        operator = Operator(server)
        device = operator.map("aa:bb:cc")["clients"][0]["id"]
        key, csr = request_for(tmp_path, "first")
        sent = ("--data-binary", f"@{csr}", *TYPE)
        body, status = body_and_status(server.curl(*sent, "-u", "aa:bb:cc:key of aa:bb:cc", path=ENROL))
        assert 200 == status, body
        first = certificate_of(tmp_path, "first", body)
        subject = run(
            "openssl", "x509", "-in", first, "-noout", "-subject", "-ext", "subjectAltName,extendedKeyUsage"
        )
        assert device in subject.stdout
        assert "whoever" not in subject.stdout
        assert "TLS Web Client Authentication" in subject.stdout
        assert 0 == run("openssl", "verify", "-CAfile", server.ca, first).returncode

        second_key, csr = request_for(tmp_path, "second")
        sent = ("--data-binary", f"@{csr}", *TYPE)
        shown = ("--cert", first, "--key", key)
        body, status = body_and_status(server.curl(*sent, *shown, path=RENEW))
        assert 200 == status, body
        second = certificate_of(tmp_path, "second", body)
        for pair in ((first, key), (second, second_key)):
            answer = server.curl("--cert", pair[0], "--key", pair[1], path="/clients/bootstrap/aa:bb:cc")
            assert 200 == body_and_status(answer)[1]

        assert 200 == operator.ask("DELETE", f"/certs/{device}").status_code
        for more in (shown, ("-u", "aa:bb:cc:key of aa:bb:cc")):
            assert body_and_status(server.curl(*sent, *more, path=RENEW))[1] in (401, 403)


def test_whoever_cannot_prove_anything_gets_nothing(tmp_path: Path) -> None:
    """Wrong key, no proof, no TLS, no request: each is refused, and the CA's certificates are for all."""
    with Fleet(tmp_path, MUSTER_MQTT="", MUSTER_MQTTS="", MUSTER_MQTT_WS="") as server:
        server.trust()
        operator = Operator(server)
        operator.map("gw")
        _, csr = request_for(tmp_path, "device")
        sent = ("--data-binary", f"@{csr}", *TYPE)
        known = ("-u", "gw:key of gw")
        assert 401 == body_and_status(server.curl(*sent, path=ENROL))[1]
        assert 401 == body_and_status(server.curl(*sent, "-u", "gw:wrong", path=ENROL))[1]
        assert 400 == body_and_status(server.curl("--data-binary", "nonsense", *TYPE, *known, path=ENROL))[1]
        assert 400 == body_and_status(server.curl("-X", "POST", *TYPE, *known, path=ENROL))[1]
        for guess in [*(f"gw:guess{n}" for n in range(10)), "gw:guess:with:colons", *known[1:]]:
            status = body_and_status(server.curl(*sent, "-u", guess, path=ENROL))[1]
        assert 429 == status
        operator.map("gw-2")
        other = ("-u", "gw-2:key of gw-2")
        assert 200 == body_and_status(server.curl(*sent, *other, path=ENROL))[1]
        with server.client() as http:
            plain = http.post(ENROL, content=csr.read_bytes(), auth=("gw-2", "key of gw-2"))
            assert (403, "EST needs HTTPS\n") == (plain.status_code, plain.text)
            attributes = http.get("/.well-known/est/csrattrs")
            assert 200 == attributes.status_code
        body, status = body_and_status(server.curl(path="/.well-known/est/cacerts"))
        assert 200 == status
        bundle = certificate_of(tmp_path, "cacerts", body).read_text()
        assert 2 == bundle.count("BEGIN CERTIFICATE")


def test_a_weak_key_and_a_key_of_another_device_are_refused(tmp_path: Path) -> None:
    """One key, one device; RSA of 1024 bits belongs to nobody."""
    with Fleet(tmp_path, MUSTER_MQTT="", MUSTER_MQTTS="", MUSTER_MQTT_WS="") as server:
        server.trust()
        operator = Operator(server)
        one, other = (operator.map(name)["clients"][0]["id"] for name in ("one", "other"))
        weak = tmp_path / "weak.csr"
        run("openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=x",
            "-keyout", tmp_path / "weak.key", "-out", weak)  # fmt: skip
        answer = operator.ask("POST", f"/certs/csrs/{one}", json={"csr": weak.read_text()})
        assert 400 == answer.status_code
        assert "1024" in answer.text
        key, csr = request_for(tmp_path, "mine")
        pem = run("openssl", "req", "-inform", "DER", "-in", csr).stdout
        signed = operator.ask("POST", f"/certs/csrs/{one}", json={"csr": pem, "ttl": "10h"})
        assert 200 == signed.status_code, signed.text
        assert "key" not in signed.json()
        stolen = operator.ask("POST", f"/certs/csrs/{other}", json={"csr": pem, "ttl": "10h"})
        assert 409 == stolen.status_code
        pair = files_of(tmp_path, "signed", signed.json()["certificate"], key.read_text())
        fetched = server.curl("--cert", pair[0], "--key", pair[1], path="/clients/bootstrap/one")
        assert 200 == body_and_status(fetched)[1]
        foreign = server.curl("--cert", pair[0], "--key", pair[1], path="/clients/bootstrap/other")
        assert 403 == body_and_status(foreign)[1]


def printed(title: str) -> str:
    """Give the commands that docs/certificates.md prints below a title."""
    page = (Path(__file__).parents[2] / "docs" / "certificates.md").read_text()
    section = page.partition(f"### {title}\n")[2].partition("\n#")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


def test_est_works_as_printed(tmp_path: Path) -> None:
    """The commands of the page that explains it, in its order."""
    quiet = {"MUSTER_MQTT": "", "MUSTER_MQTTS": "", "MUSTER_MQTT_WS": ""}
    with Fleet(tmp_path, MG_PROVISION_X509_PROVISIONING="false", **quiet) as server:
        server.trust()
        body = {"external_id": "aa:bb:cc", "external_key": "KEY"}
        assert 201 == Operator(server).ask("POST", "/mapping", json=body).status_code

        def do(title: str) -> None:
            text = printed(title).replace("localhost:8443", f"localhost:{server.https}")
            done = run("bash", "-ec", f"cd {tmp_path}\n{text.replace('curl ', 'curl -sS --fail ')}")
            assert 0 == done.returncode, done.stdout + done.stderr

        do("EST: the first certificate")
        certificate_of(tmp_path, "gw", (tmp_path / "gw.p7").read_text())
        request_for(tmp_path, "new")
        do("EST: renewal by certificate")
        new = certificate_of(tmp_path, "renewed", (tmp_path / "new.p7").read_text())
        assert 0 == run("openssl", "verify", "-CAfile", server.ca, new).returncode
