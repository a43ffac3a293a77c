"""Groups of the auth service (spec B.3)."""

import pytest

from tests.dialects.mainflux.house import House, unknown

pytestmark = pytest.mark.anyio


async def grown(house: House, token: str) -> list[str]:
    """Make a group, one below it and one below that; give their ids from the root down."""
    ids: list[str] = []
    for name in ("root", "branch", "leaf"):
        body = {"name": name, **({"parent_id": ids[-1]} if ids else {})}
        made = await house.call("POST", "/groups", token, json=body)
        assert 201 == made.status_code, made.text
        ids.append(made.headers["location"].rpartition("/")[2])
    return ids


async def test_a_group_is_made_shown_changed_and_deleted(house: House):
    """201 with Location, 200, 200 without a body, 204."""
    token = await house.user()
    body = {"name": "plant", "description": "the first", "metadata": {"a": 1}}
    path = (await house.seen("createGroup", 201, "POST", "/groups", token, json=body)).headers["location"]
    await house.seen("getGroup", 200, "GET", path, token)
    await house.seen("listGroups", 200, "GET", "/groups?name=PLA", token)
    await house.seen("updateGroup", 200, "PUT", path, token, json={"name": "works"})
    assert "works" == (await house.call("GET", path, token)).json()["name"]
    await house.seen("deleteGroup", 204, "DELETE", path, token)
    assert 404 == (await house.call("GET", path, token)).status_code
    assert 400 == (await house.call("POST", "/groups", token, json={})).status_code


async def test_groups_are_listed_above_and_below(house: House):
    """As lists or, below, as a tree; as deep as asked."""
    token = await house.user()
    root, _, leaf = await grown(house, token)
    await house.seen("listParentsOfGroup", 200, "GET", f"/groups/{leaf}/parents", token)
    await house.seen("listChildrenOfGroup", 200, "GET", f"/groups/{root}/children", token)

    async def names(path: str) -> list[str]:
        return [group["name"] for group in (await house.call("GET", path, token)).json()["groups"]]

    assert ["root", "branch"] == await names(f"/groups/{leaf}/parents")
    assert ["branch", "leaf"] == await names(f"/groups/{root}/children")
    assert ["branch"] == await names(f"/groups/{root}/children?level=1")
    assert ["leaf"] == await names(f"/groups/{root}/children?offset=1")
    tree = (await house.call("GET", f"/groups/{root}/children?tree=true", token)).json()["groups"]
    assert [leaf] == [group["id"] for group in tree[0]["children"]]


@pytest.mark.parametrize("kind", ["things", "channels"])
async def test_things_and_channels_go_in_and_out(house: House, kind: str):
    """All of them or none; each is in one group at most."""
    token = await house.user()
    root, branch, _ = await grown(house, token)
    ids = [(await house.new(kind, token))["id"] for _ in range(2)]
    path, body = f"/groups/{root}/members", {"members": ids, "type": kind}
    assert 200 == (await house.call("POST", path, token, json=body)).status_code
    assert 200 == (await house.call("POST", path, token, json=body)).status_code
    listed = (await house.call("GET", f"{path}?type={kind}", token)).json()
    assert (2, sorted(ids)) == (listed["total"], sorted(each["ID"] for each in listed["Members"]))
    assert 409 == (await house.call("POST", f"/groups/{branch}/members", token, json=body)).status_code
    of_member = (await house.call("GET", f"/members/{ids[0]}/groups", token)).json()
    assert [root] == [group["id"] for group in of_member["groups"]]
    out = await house.call("DELETE", path, token, json={**body, "members": ids[:1]})
    assert 204 == out.status_code
    assert 404 == (await house.call("DELETE", path, token, json=body)).status_code
    left = (await house.call("GET", path, token)).json()["Members"]
    assert [{"ID": ids[1], "Type": kind}] == left


async def test_members_of_all_types_are_one_list(house: House):
    """Things, then channels, then users, whatever the window; they go out without saying what they are."""
    token = await house.user()
    mine = (await house.call("GET", "/users/profile", token)).json()["id"]
    root, *_ = await grown(house, token)
    path, ids = f"/groups/{root}/members", {"users": [mine]}
    for kind in ("things", "channels"):
        ids[kind] = [(await house.new(kind, token))["id"] for _ in range(2)]
    for kind, members in ids.items():
        body = {"members": members, "type": kind}
        assert 200 == (await house.call("POST", path, token, json=body)).status_code
    every = [*ids["things"], *ids["channels"], mine]
    for offset in range(6):
        for limit in range(1, 6):
            page = (await house.call("GET", f"{path}?offset={offset}&limit={limit}", token)).json()
            listed = [each["ID"] for each in page["Members"]]
            assert (5, every[offset : offset + limit]) == (page["total"], listed)
    out = await house.call("DELETE", path, token, json={"members": every})
    assert (204, 0) == (out.status_code, (await house.call("GET", path, token)).json()["total"])


async def test_how_members_look(house: House):
    """200 without a body, the list, 204; the groups of a member."""
    token = await house.user()
    root, *_ = await grown(house, token)
    thing = await house.new("things", token)
    path, body = f"/groups/{root}/members", {"members": [thing["id"]], "type": "things"}
    await house.seen("assignMembers", 200, "POST", path, token, json=body)
    await house.seen("listMembersOfGroup", 200, "GET", path, token)
    await house.seen("listGroupsOfMember", 200, "GET", f"/members/{thing['id']}/groups", token)
    await house.seen("unassignMembers", 204, "DELETE", path, token, json=body)
    assert [] == (await house.call("GET", f"/members/{thing['id']}/groups", token)).json()["groups"]


async def test_users_are_members_who_may_see_the_group(house: House):
    """And only as long as they are."""
    john, jane = await house.user("john"), await house.user("jane")
    hers = (await house.call("GET", "/users/profile", jane)).json()["id"]
    root, *_ = await grown(house, john)
    path, body = f"/groups/{root}/members", {"members": [hers], "type": "users"}
    assert 404 == (await house.call("GET", f"/groups/{root}", jane)).status_code
    for _ in range(2):
        assert 200 == (await house.call("POST", path, john, json=body)).status_code
    listed = (await house.call("GET", f"{path}?type=users", john)).json()["Members"]
    assert [{"ID": hers, "Type": "users"}] == listed
    assert 200 == (await house.call("GET", f"/groups/{root}", jane)).status_code
    assert 403 == (await house.call("DELETE", f"/groups/{root}", jane)).status_code
    assert 204 == (await house.call("DELETE", path, john, json=body)).status_code
    assert 404 == (await house.call("GET", f"/groups/{root}", jane)).status_code


@pytest.mark.parametrize(
    "body", [{}, {"members": []}, {"members": ["x"]}, {"members": ["x"], "type": "stones"}, []]
)
async def test_members_must_be_something(house: House, body: object):
    """400."""
    token = await house.user()
    root, *_ = await grown(house, token)
    assert 400 == (await house.call("POST", f"/groups/{root}/members", token, json=body)).status_code
    assert 400 == (await house.call("GET", f"/groups/{root}/members?type=stones", token)).status_code


async def test_foreign_groups_look_like_none(house: House):
    """404 for both; nobody is 403 in this service (spec B.0)."""
    john, jane = await house.user("john"), await house.user("jane")
    root, *_ = await grown(house, jane)
    for path in ("", "/children", "/parents", "/members"):
        foreign = await house.call("GET", f"/groups/{root}{path}", john)
        missing = await house.call("GET", f"/groups/{unknown()}{path}", john)
        assert (404, 404, foreign.content) == (foreign.status_code, missing.status_code, missing.content)
    assert 403 == (await house.call("GET", "/groups", "nonsense")).status_code
