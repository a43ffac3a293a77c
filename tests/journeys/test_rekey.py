"""The master key of a running installation is changed, and nobody but its owner notices."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Shell
from tests.journeys.fleet import Fleet, Operator
from tests.journeys.server import login
from tests.journeys.test_messages import Gateway, eventually

REPEATED = {"Idempotency-Key": "once"}


class Story:
    """What somebody made under the old key, and asks for again under the new one."""

    def __init__(self, server: Fleet) -> None:
        self.server = server
        self.operator = Operator(server)
        with server.client(self.operator.token) as http:
            self.key: str = http.post("/keys", json={"type": 3, "duration": 0}).json()["value"]
        self.made = self.operator.map()
        self.gateway = Gateway(server, self.operator.token, self.operator.domain, "gw-2")
        with closing(self.gateway.mqtt()) as session:
            session.publish(f"channels/{self.gateway.data}/messages/t", "21.5")
        self.fetched = self.fetch()
        self.client = self.create()

    def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Ask as a program with an API key, which Muster keeps hashed only."""
        with self.server.client(self.key) as http:
            return http.request(method, f"/{self.operator.domain}{path}", **kwargs)

    def fetch(self) -> dict[str, Any]:
        """Fetch a device's configuration by its external key."""
        shown = {"Authorization": "Client key of gw-1"}
        with self.server.client() as http:
            answer = http.get("/clients/bootstrap/gw-1", headers=shown)
        assert 200 == answer.status_code, answer.text
        fetched: dict[str, Any] = answer.json()
        return fetched

    def create(self) -> bytes:
        """Create a client; the second time, have the kept answer."""
        answer = self.ask("POST", "/clients", json={"name": "c"}, headers=REPEATED)
        assert 201 == answer.status_code, answer.text
        return answer.content

    def holds(self) -> None:
        """Assert that all is as it was: mapping, fetch, kept answer, API key, MQTT login, the CA."""
        body = {"external_id": "gw-1", "external_key": "key of gw-1"}
        assert self.made == self.ask("POST", "/mapping", json=body).json()
        assert self.fetched == self.fetch()
        assert self.client == self.create()
        with closing(self.gateway.mqtt()) as session:
            assert 0 == session.code
        path = f"/channels/{self.gateway.data}/messages?limit=5"
        eventually(lambda: bool(self.ask("GET", path).json().get("messages")))
        assert ["21.5"] == [message["payload"] for message in self.ask("GET", path).json()["messages"]]
        asked = {"ttl": "1h"}
        issued = self.ask("POST", f"/certs/issue/{self.gateway.id}", json=asked)
        assert 201 == issued.status_code, issued.text
        taken = self.ask("POST", "/clients", json={"credentials": {"secret": self.gateway.secret}})
        assert 409 == taken.status_code, taken.text


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_master_key_is_changed_under_a_running_server(
    tmp_path: Path, kind: str, database_url: Callable[..., str]
) -> None:
    """Old key, both keys, rekey while it serves, new key alone: devices and programs go on all the time."""
    old, new = token_urlsafe(32), token_urlsafe(32)
    where = {} if kind == "sqlite" else {"MUSTER_DATABASE_URL": database_url(kind)}
    owner = Shell(tmp_path, MUSTER_DATA_DIR=str(tmp_path / "data"), MUSTER_MASTER_KEY=f"{new},{old}", **where)
    with Fleet(tmp_path, MUSTER_MASTER_KEY=old, MUSTER_MESSAGES_MAX_AGE="1h", **where) as server:
        story = Story(server)
        owner.try_("db", "rekey").refused("does not seal with the master key", "MUSTER_MASTER_KEY")
        for keys in (f"{new},{old}", new):
            server.stop()
            server.set_environment(MUSTER_MASTER_KEY=keys)
            server.start()
            story.holds()
            if keys != new:
                assert story.made == story.operator.map()  # with a token of before
                assert "may be dropped" in owner("db", "rekey").err
                story.holds()
        assert login(server, "jane", "12345678")
        owner.environment["MUSTER_MASTER_KEY"] = new
        told = json.loads(owner("doctor", "-o", "json").out)
        assert ([], 1) == (told["findings"], len(told["master_keys"]))
    owner.environment["MUSTER_MASTER_KEY"] = old
    owner.try_("serve").refused("sealed with another master key")
