"""A journey across doors: made in Mainflux's, seen in Magistrala's, speaking over MQTT, disabled, refused."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.journeys.fleet import Fleet, files_of, subscribed


class Owner:
    """A user of the Mainflux door."""

    def __init__(self, server: Fleet) -> None:
        self.server = server
        body = {"email": "john.doe@email.com", "password": "12345678"}
        assert 201 == self.ask("POST", "/users", json=body).status_code
        self.token: str = self.ask("POST", "/tokens", json=body).json()["token"]

    def ask(self, method: str, path: str, key: str | None = None, **request: Any) -> httpx.Response:
        """Ask with a key of one's own, or with the raw token once there is one."""
        given = key if key is not None else getattr(self, "token", None)
        headers = {"Authorization": given} if given else {}
        return httpx.request(method, f"{self.server.url}{path}", headers=headers, timeout=30, **request)


def test_a_thing_lives_behind_both_doors(tmp_path: Path) -> None:
    """One device, whoever looks at it and from where."""
    with Fleet(tmp_path, MF_PROVISION_X509_PROVISIONING="true", MG_PROVISION_X509_PROVISIONING="") as server:
        server.trust()
        owner = Owner(server)
        body = {"name": "edge-gw", "external_id": "gateway", "external_key": "external_key"}
        made = owner.ask("POST", "/mapping", json=body).json()
        thing = made["things"][0]["id"]
        control = next(c["id"] for c in made["channels"] if c["metadata"]["type"] == "control")

        fetched = owner.ask("GET", "/things/bootstrap/gateway", "external_key")
        agent = fetched.json()
        assert (200, thing) == (fetched.status_code, agent["mainflux_id"])
        assert ["control", "data"] == [each["metadata"]["type"] for each in agent["mainflux_channels"]]
        assert isinstance(json.loads(agent["content"]), dict)
        pair = files_of(tmp_path, "gw", agent["client_cert"], agent["client_key"])
        assert made["client_cert"][thing] == agent["client_cert"]

        # The same user, through the other door.
        with httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {owner.token}"}, timeout=30
        ) as http:
            domain = http.get("/domains").json()["domains"][0]["id"]
            listed = http.get(f"/{domain}/clients").json()["clients"]
            assert [(thing, "edge-gw")] == [(each["id"], each["name"]) for each in listed]
            assert agent["mainflux_key"] == listed[0]["credentials"]["secret"]

            # As the Agent does: it listens on the control channel; it answers there.
            with subscribed(server, f"channels/{control}/messages/#", pair) as live:
                sent = owner.ask(
                    "POST", f"/http/channels/{control}/messages/req", agent["mainflux_key"], content="[]"
                )
                assert 202 == sent.status_code
                assert b"[]" == live.messages.get(timeout=30)
                live.client.publish(f"channels/{control}/messages/res", '[{"n":"ls"}]', 1).wait_for_publish(5)
                assert b'[{"n":"ls"}]' == live.messages.get(timeout=30)
                assert 200 == http.post(f"/{domain}/clients/{thing}/disable").status_code
                assert live.closed.wait(30), "the live session was not cut"

        refused = {
            "fetch": owner.ask("GET", "/things/bootstrap/gateway", "external_key").status_code,
            "identify": owner.ask("POST", "/identify", json={"token": agent["mainflux_key"]}).status_code,
            "access": owner.ask(
                "POST",
                f"/identify/channels/{control}/access-by-key",
                json={"token": agent["mainflux_key"]},
            ).status_code,
            "publish": owner.ask(
                "POST", f"/http/channels/{control}/messages", agent["mainflux_key"], content="[]"
            ).status_code,
        }
        assert {"fetch": 404, "identify": 404, "access": 403, "publish": 403} == refused
