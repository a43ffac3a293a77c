"""Things (spec B.2)."""

import json

import pytest

from tests.dialects.mainflux.house import JSON, House, unknown

pytestmark = pytest.mark.anyio


async def test_a_thing_is_created_and_shown(house: House):
    """201 with Location and no body, then id, name, key and metadata, and no times."""
    token = await house.user()
    body = {"name": "weio", "metadata": {"serial": "123456"}}
    made = await house.seen("createThing", 201, "POST", "/things", token, json=body)
    assert b"" == made.content
    shown = await house.seen("getThing", 200, "GET", made.headers["location"], token)
    assert ["id", "name", "key", "metadata"] == list(shown.json())


async def test_a_thing_may_bring_its_id_and_key(house: House):
    """As long as nobody has them."""
    token, own = await house.user(), unknown()
    body = {"id": own, "key": "my own key, longer than thirty-six characters"}
    assert f"/things/{own}" == (await house.call("POST", "/things", token, json=body)).headers["location"]
    assert body["key"] == (await house.call("GET", f"/things/{own}", token)).json()["key"]
    assert 409 == (await house.call("POST", "/things", token, json={"key": body["key"]})).status_code
    assert 409 == (await house.call("POST", "/things", token, json={"id": own})).status_code
    assert 400 == (await house.call("POST", "/things", token, json={"id": "no-uuid"})).status_code


@pytest.mark.parametrize("path", ["/things", "/channels", "/groups"])
async def test_names_hold_no_control_characters(house: House, path: str):
    """400 when it is made and when it is changed."""
    token = await house.user()
    for name in ("a\tb", "a\x7f", "\x1b[2J"):
        answer = await house.call("POST", path, token, json={"name": name})
        assert 400 == answer.status_code
        assert {"error": "a name may hold no control characters"} == answer.json()
    made = (await house.call("POST", path, token, json={"name": "plain"})).headers["location"]
    assert 400 == (await house.call("PUT", made, token, json={"name": "a\nb"})).status_code
    assert "plain" == (await house.call("GET", made, token)).json()["name"]


async def test_bulk_creation_is_all_or_nothing(house: House):
    """201 with all of them in order; one that cannot be made leaves none."""
    token = await house.user()
    body = [{"name": "weio"}, {"name": "bob", "key": "bob's key"}]
    made = await house.seen("createThings", 201, "POST", "/things/bulk", token, json=body)
    assert ["weio", "bob"] == [thing["name"] for thing in made.json()["things"]]
    again = await house.call("POST", "/things/bulk", token, json=[{"name": "new"}, {"key": "bob's key"}])
    assert 409 == again.status_code
    assert 400 == (await house.call("POST", "/things/bulk", token, json=[])).status_code
    assert 2 == (await house.call("GET", "/things", token)).json()["total"]


async def test_a_list_shows_the_callers_own(house: House):
    """Never those of somebody else; as a page, without the order that was not asked for."""
    john, jane = await house.user("john"), await house.user("jane")
    await house.new("things", john, name="weio")
    await house.new("things", john, name="myapp")
    await house.new("things", jane, name="hers")
    page = (await house.seen("listThings", 200, "GET", "/things?offset=0&limit=5", john)).json()
    assert ["total", "offset", "limit", "things"] == list(page)
    assert {"weio", "myapp"} == {thing["name"] for thing in page["things"]}


QUOTED = '"\\{\\"serial\\":\\"123456\\"\\}"'


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": "WEI"}, ["weio"]),
        ({"name": '"bob"'}, ["bob"]),
        ({"name": "%"}, []),
        ({"metadata": '{"serial":"123456"}'}, ["bob"]),
        ({"metadata": '"{"serial":"123456"}"'}, ["bob"]),
        ({"metadata": QUOTED}, ["bob"]),
        ({"metadata": '\\{"serial":"123456"\\}'}, ["bob"]),
        ({"metadata": '{"a":{"b":1}}'}, ["bob"]),
        ({"metadata": '{"a":{"b":2}}'}, []),
        ({"name": "weio", "metadata": '{"serial":"123456"}'}, []),
        ({"order": "name"}, ["bob", "weio"]),
        ({"order": "name", "dir": "desc"}, ["weio", "bob"]),
        ({"order": "name", "direction": "desc"}, ["weio", "bob"]),
        ({"order": "name", "offset": 1}, ["weio"]),
        ({"order": "name", "limit": 1}, ["bob"]),
        ({"limit": 0}, ["weio", "bob"]),
        ({"limit": 100}, ["weio", "bob"]),
    ],
)
async def test_a_list_is_filtered_and_ordered(house: House, query: dict, names: list[str]):
    """By part of the name or the metadata, however quoted (spec I, rows 6 and 14)."""
    token = await house.user()
    await house.new("things", token, name="weio")
    await house.new("things", token, name="bob", metadata={"serial": "123456", "a": {"b": 1, "c": 2}})
    answer = await house.call("GET", "/things", token, params=query)
    assert 200 == answer.status_code, answer.text
    assert names == [thing["name"] for thing in answer.json()["things"]]
    assert [query.get("order")] == [answer.json().get("order")]


@pytest.mark.parametrize("path", ["/things", "/channels", "/things/configs", "/users", "/groups"])
@pytest.mark.parametrize(
    "query", ["limit=101", "limit=-1", "limit=x", "offset=-1", "offset=x", "limit=1&limit=2"]
)
async def test_a_window_that_cannot_be_is_refused(house: House, path: str, query: str):
    """400 in every list; 0 means the default, 100 is the most."""
    token = await house.user()
    answer = await house.call("GET", f"{path}?{query}", token)
    assert 400 == answer.status_code
    assert ["error"] == list(answer.json())
    assert 10 == (await house.call("GET", f"{path}?limit=0", token)).json()["limit"]
    assert 100 == (await house.call("GET", f"{path}?limit=100", token)).json()["limit"]


@pytest.mark.parametrize("query", ["order=key", "dir=up", "metadata=nonsense", "metadata=[]", "metadata=1"])
@pytest.mark.parametrize("path", ["/things", "/channels"])
async def test_a_filter_that_cannot_be_is_refused(house: House, path: str, query: str):
    """400: an order there is not, metadata that is no JSON object."""
    token = await house.user()
    assert 400 == (await house.call("GET", f"{path}?{query}", token)).status_code


async def test_things_are_searched_by_name_and_metadata(house: House):
    """The reply says in which order it is."""
    token = await house.user()
    await house.new("things", token, name="bob", metadata={"foo": "bar", "more": 1})
    await house.new("things", token, name="bob")
    body = {
        "metadata": {"foo": "bar"},
        "name": "bob",
        "limit": 10,
        "offset": 0,
        "order": "name",
        "dir": "desc",
    }
    page = (await house.seen("searchThings", 200, "POST", "/things/search", token, json=body)).json()
    assert ["total", "offset", "limit", "order", "direction", "things"] == list(page)
    assert 1 == page["total"]
    assert 2 == (await house.call("POST", "/things/search", token, json={})).json()["total"]


@pytest.mark.parametrize(
    "body", [{"limit": 101}, {"limit": -1}, {"offset": -1}, {"order": "key"}, {"dir": "up"}, {"name": 1}, []]
)
async def test_a_search_that_cannot_be_is_refused(house: House, body: object):
    """400, as upstream's document says."""
    token = await house.user()
    assert 400 == (await house.call("POST", "/things/search", token, json=body)).status_code


async def test_an_update_replaces_name_and_metadata(house: House):
    """200 and an empty body; the key stays."""
    token = await house.user()
    thing = await house.new("things", token, name="old", metadata={"a": 1})
    path = f"/things/{thing['id']}"
    answer = await house.seen("updateThing", 200, "PUT", path, token, json={"name": "new"})
    assert b"" == answer.content
    assert {"id": thing["id"], "name": "new", "key": thing["key"]} == (
        await house.call("GET", path, token)
    ).json()


async def test_a_new_key_takes_the_place_of_the_old(house: House):
    """At once, everywhere; a taken one is 409, an empty one 400."""
    token = await house.user()
    thing, other = await house.new("things", token), await house.new("things", token)
    path = f"/things/{thing['id']}/key"
    await house.seen("updateThingKey", 200, "PATCH", path, token, json={"key": house.own("another key")})
    assert 404 == (await house.call("POST", "/identify", json={"token": thing["key"]})).status_code
    named = await house.call("POST", "/identify", json={"token": house.own("another key")})
    assert {"id": thing["id"]} == named.json()
    assert 409 == (await house.call("PATCH", path, token, json={"key": other["key"]})).status_code
    assert 400 == (await house.call("PATCH", path, token, json={"key": ""})).status_code
    assert 400 == (await house.call("PATCH", path, token, json={})).status_code


async def test_a_deleted_thing_is_gone(house: House):
    """204, again and for one that never was."""
    token = await house.user()
    thing = await house.new("things", token)
    path = f"/things/{thing['id']}"
    await house.seen("deleteThing", 204, "DELETE", path, token)
    assert 404 == (await house.call("GET", path, token)).status_code
    assert 204 == (await house.call("DELETE", path, token)).status_code
    assert 204 == (await house.call("DELETE", f"/things/{unknown()}", token)).status_code


async def test_a_shared_thing_can_be_used_as_far_as_it_is_shared(house: House):
    """Read only with `read`; it is in nobody else's list; others still do not find it."""
    john, jane, eve = [await house.user(name) for name in ("john", "jane", "eve")]
    hers = (await house.call("GET", "/users/profile", jane)).json()["id"]
    thing = await house.new("things", john, name="shared")
    path = f"/things/{thing['id']}"
    assert 404 == (await house.call("GET", path, jane)).status_code
    body = {"user_ids": [hers], "policies": ["read"]}
    await house.seen("shareThing", 200, "POST", f"{path}/share", john, json=body)
    assert "shared" == (await house.call("GET", path, jane)).json()["name"]
    assert 403 == (await house.call("PUT", path, jane, json={"name": "mine"})).status_code
    assert 0 == (await house.call("GET", "/things", jane)).json()["total"]
    await house.call("POST", f"{path}/share", john, json={**body, "policies": ["read", "write"]})
    await house.call("POST", f"{path}/share", john, json={**body, "policies": ["write", "read"]})
    assert 200 == (await house.call("PUT", path, jane, json={"name": "ours"})).status_code
    assert 403 == (await house.call("DELETE", path, jane)).status_code
    assert 404 == (await house.call("GET", path, eve)).status_code


@pytest.mark.parametrize(
    "body", [{}, {"user_ids": []}, {"user_ids": ["x"]}, {"user_ids": ["x"], "policies": ["own"]}]
)
async def test_a_share_with_nobody_or_for_nothing_is_refused(house: House, body: dict):
    """400."""
    token = await house.user()
    thing = await house.new("things", token)
    assert 400 == (await house.call("POST", f"/things/{thing['id']}/share", token, json=body)).status_code


CALLS = [
    ("GET", "/things/{id}", None),
    ("PUT", "/things/{id}", {"name": "x"}),
    ("PATCH", "/things/{id}/key", {"key": "x"}),
    ("POST", "/things/{id}/share", {"user_ids": ["x"], "policies": ["read"]}),
    ("GET", "/things/{id}/channels", None),
    ("GET", "/things/configs/{id}", None),
    ("PUT", "/things/configs/{id}", {"name": "x"}),
    ("PATCH", "/things/configs/certs/{id}", {"ca_cert": "x"}),
    ("PUT", "/things/configs/connections/{id}", {"channels": []}),
    ("PUT", "/things/state/{id}", {"state": 1}),
    ("POST", "/things/configs", {"thing_id": "{id}", "external_id": "no one has this", "external_key": "x"}),
    ("GET", "/members/{id}/groups", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_a_foreign_thing_looks_like_one_that_does_not_exist(
    house: House, method: str, path: str, body: object
):
    """Nothing of it is said and nothing happens to it."""
    jane = await house.user("jane")
    mapped = await house.mapped(jane)
    hers = mapped["things"][0]["id"]
    before = (await house.call("GET", f"/things/{hers}", jane)).content

    async def call(token: str, thing: str) -> tuple[int, bytes]:
        request = (
            {} if body is None else {"content": json.dumps(body).replace("{id}", thing), "headers": JSON}
        )
        answer = await house.call(method, path.replace("{id}", thing), token, **request)
        return answer.status_code, answer.content

    john = await house.user("john")
    assert 404 == (await call(john, hers))[0]
    assert await call(john, hers) == await call(john, unknown())
    assert before == (await house.call("GET", f"/things/{hers}", jane)).content


async def test_an_admin_sees_through_this_door_what_is_the_admins_own(house: House):
    """Upstream knew no admins of things; the other door shows all."""
    john, admin = await house.user("john"), await house.admin()
    thing = await house.new("things", john)
    assert 404 == (await house.call("GET", f"/things/{thing['id']}", admin)).status_code
    assert 0 == (await house.call("GET", "/things", admin)).json()["total"]


async def test_a_foreign_thing_is_not_deleted(house: House):
    """Though the answer is the one for a thing that is not there."""
    john, jane = await house.user("john"), await house.user("jane")
    path = f"/things/{(await house.new('things', jane))['id']}"
    assert 204 == (await house.call("DELETE", path, john)).status_code
    assert 200 == (await house.call("GET", path, jane)).status_code
