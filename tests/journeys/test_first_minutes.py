"""What a new user does first, against a real server."""

from pathlib import Path

from tests.journeys.server import Server, new_domain, new_user


def test_one_call_provisions_a_gateway_that_then_fetches_its_configuration(tmp_path: Path) -> None:
    """From registration to the device's first fetch, with nothing but its external id and key."""
    with Server(tmp_path) as server:
        token = new_user(server, "jane")
        domain = new_domain(server, token, "plant")
        with server.client(token) as http:
            asked = {"external_id": "33:52:77:99:43", "external_key": "223334fw2"}
            first = http.post(f"/{domain}/mapping", json=asked)
            again = http.post(f"/{domain}/mapping", json=asked)
        assert (201, 201) == (first.status_code, again.status_code)
        assert first.content == again.content
        with server.client() as device:
            fetched = device.get(
                "/clients/bootstrap/33:52:77:99:43", headers={"Authorization": "Client 223334fw2"}
            )
        assert 200 == fetched.status_code
        assert first.json()["clients"][0]["id"] == fetched.json()["client_id"]
        assert ["control", "data"] == [c["metadata"]["type"] for c in fetched.json()["channels"]]


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """After kill -9 and a new start the same call gives the same answer."""
    with Server(tmp_path) as server:
        token = new_user(server, "jane")
        domain = new_domain(server, token, "plant")
        asked = {"external_id": "gw", "external_key": "key"}
        with server.client(token) as http:
            before = http.post(f"/{domain}/mapping", json=asked)
            server.kill()
            server.start()
            after = http.post(f"/{domain}/mapping", json=asked)
        assert before.content == after.content
