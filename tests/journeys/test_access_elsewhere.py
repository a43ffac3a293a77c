"""The access matrix of the Mainflux and the Hono door: every operation for every kind of caller.

A new operation fails here until it has a row in access_mainflux.py or access_hono.py.
"""

import pprint
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from muster.assembly.parts import keyring_of
from muster.ca.tokens import Tokens
from muster.settings import load
from tests.journeys.access_hono import Hono
from tests.journeys.access_mainflux import Mainflux
from tests.journeys.access_matrix import Door, document, mentions, operations, said, told
from tests.journeys.server import Server, admin_token
from tests.ports import free_port

DOORS = ["mainflux", "hono"]
GUEST, READER = "guest", "reader"
ACTIONS = {
    GUEST: ["membership"],
    READER: ["read", "membership", "client_read", "channel_read", "group_read"],
}
ADDING = ("GET", "POST")
"""Methods that take nothing away: one scene is enough for all of them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a broker, so that what speaks of messages is there as well."""
    folder, mqtt = tmp_path_factory.mktemp("elsewhere"), f"127.0.0.1:{free_port()}"
    with Server(folder, MUSTER_THROTTLE_ATTEMPTS="1000000", MUSTER_MQTT=mqtt) as running:
        yield running


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def doors(server: Server, http: httpx.Client) -> dict[str, Door]:
    settings = load({"MUSTER_DATA_DIR": str(server.folder / "data")}).settings
    past = int(time.time()) - 7200
    tokens, admin = Tokens(keyring_of(settings)), admin_token(server)

    def expired(issuer: str) -> str:
        claims = {"iat": past, "exp": past + 3600, "type": 0, "user": "x", "epoch": 0}
        return tokens.mint({"iss": issuer, **claims})

    return {"mainflux": Mainflux(http, admin, expired), "hono": Hono(http, admin, expired)}


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, doors: dict[str, Door]) -> Door:
    return doors[request.param]


def test_the_matrix_knows_every_operation(http: httpx.Client, door: Door) -> None:
    """Each is open to all or has a row; which of them, the document says by its security."""
    known = document(http, door)
    open_to_all = {name for name, (_, _, about) in known.items() if not about["security"]}
    assert set(door.public) == open_to_all
    assert set(door.rows) == set(known) - open_to_all
    with_body = {name for name, (_, _, about) in known.items() if "requestBody" in about} - open_to_all
    assert with_body == {name for name, row in door.rows.items() if row.body is not None}


def test_who_is_nobody_is_refused(http: httpx.Client, door: Door) -> None:
    """Whoever shows nothing, something expired or ended, a disabled user's login or a device's secret."""
    scene, wrong = door.scene(), {}
    before = door.snapshot(scene)
    for operation in operations(http, door):
        for caller, headers in door.nobodies.items():
            answer = operation.ask(http, headers, scene.ids)
            expected = operation.row.nobody if headers else operation.row.silent or operation.row.nobody
            if answer.status_code != expected or mentions(answer, scene.ids):
                wrong[operation.id, caller] = told(answer)
    assert {} == wrong, pprint.pformat(wrong, width=200)
    assert before == door.snapshot(scene)


def test_foreign_and_unknown_look_the_same(http: httpx.Client, door: Door) -> None:
    """The owner of another tenant learns nothing and changes nothing, whichever of the ids is not hers."""
    theirs, mine, none, wrong = door.scene(), door.scene(), door.unknown(), {}
    before = door.snapshot(theirs)
    for operation in operations(http, door):
        if operation.row.foreign is None:
            answer = operation.ask(http, mine.owner, mine.ids)
            if answer.status_code >= 400 or mentions(answer, theirs.ids):
                wrong[operation.id, "own"] = told(answer)
            continue
        for swapped in _swaps(operation.names(theirs.ids, door.entities)):
            foreign = {**mine.ids, **{name: theirs.ids[name] for name in swapped}}
            unknown = {**mine.ids, **{name: none[name] for name in swapped}}
            one = said(operation.ask(http, mine.owner, foreign), theirs.ids, mine.ids)
            other = said(operation.ask(http, mine.owner, unknown), none, mine.ids)
            if one != other or one[0] != operation.row.foreign:
                wrong[operation.id, *swapped] = (one, other)
    assert {} == wrong, pprint.pformat(wrong, width=200)
    assert before == door.snapshot(theirs)


def _swaps(names: list[str]) -> list[list[str]]:
    """Give which ids of a request are somebody else's: all of them, and each alone."""
    return [names, *([name] for name in names if len(names) > 1)]


@pytest.mark.parametrize("kind", [GUEST, READER])
def test_a_member_without_the_right_is_refused(http: httpx.Client, door: Door, kind: str) -> None:
    """A guest may do nothing, a reader changes nothing; what a guest may not see looks like nothing."""
    scene, none, wrong = door.scene(), door.unknown(), {}
    headers, before = door.member(scene, ACTIONS[kind]), door.snapshot(scene)
    hidden = {**scene.ids, **{name: none[name] for name in door.entities - {"tenant"}}}
    for operation in operations(http, door):
        status = operation.row.guest if kind == GUEST else operation.row.reader
        answer = operation.ask(http, headers, scene.ids if status is not None else none)
        is_right = mentions(answer, scene.ids) == [] if status is None else answer.status_code == status
        if not is_right or answer.status_code >= 500:
            wrong[operation.id] = told(answer)
        elif status == 404:
            unknown = said(operation.ask(http, headers, hidden), none, scene.ids)
            if unknown != said(answer, scene.ids):
                wrong[operation.id, "unknown"] = (said(answer, scene.ids), unknown)
    assert {} == wrong, pprint.pformat(wrong, width=200)
    assert before == door.snapshot(scene)


def test_the_owner_may_do_everything(http: httpx.Client, door: Door) -> None:
    """No cell is closed to all: each operation answers whom it is meant for."""
    wrong, shared = {}, door.scene()
    for operation in sorted(operations(http, door), key=lambda each: each.method not in ADDING):
        scene = shared if operation.method in ADDING else door.scene()
        answer = operation.ask(http, scene.owner, scene.ids)
        if answer.status_code != operation.row.owner:
            wrong[operation.id] = told(answer)
    assert {} == wrong, pprint.pformat(wrong, width=200)


def test_a_thing_learns_nothing_of_others(http: httpx.Client, doors: dict[str, Door]) -> None:
    """With its own key, or any: what is another's, and a wrong key for it, look like what there is not."""
    door = doors["mainflux"]
    mine, theirs, none = door.scene(), door.scene(), door.unknown()
    key = {"token": http.get(f"/things/{mine.ids['spare']}", headers=mine.owner).json()["key"]}

    def alike(status: int, method: str, template: str, **request: Any) -> None:
        answers = [http.request(method, template % ids, **request) for ids in (theirs.ids, none)]
        assert said(answers[0], theirs.ids) == said(answers[1], none)
        assert status == answers[0].status_code

    for path in ("/things/bootstrap/%(external_id)s", "/things/bootstrap/secure/%(external_id)s"):
        alike(404, "GET", path, headers={"Authorization": "wrong"})
    assert 404 == http.post("/identify", json={"token": "wrong"}).status_code
    by_key, by_id = (f"/identify/channels/%(channel)s/access-by-{way}" for way in ("key", "id"))
    alike(403, "POST", by_key, json=key)
    alike(403, "POST", by_id, json={"thing_id": mine.ids["spare"]})
    assert 200 == http.post(by_key % mine.ids, json=key).status_code
