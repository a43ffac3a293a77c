"""Who may do what: members and roles, sharing, groups and invitations (spec A.2, A.3, A.6)."""

from collections.abc import Callable

import pytest

from tests.dialects.magistrala.harness import Muster, Person, status

CONNECT = ["publish", "subscribe"]


@pytest.fixture
def friend(person: Callable[[], Person]) -> Person:
    return person()


@pytest.fixture
def client(muster: Muster, domain: str, owner: Person) -> str:
    made: str = muster.make(f"/{domain}/clients", owner, {"name": "shared"})["id"]
    return made


# --- sharing -------------------------------------------------------------------------------------------


def test_a_shared_client_is_all_that_is_seen(
    muster: Muster, domain: str, owner: Person, friend: Person, client: str
):
    """A role on one client lets its holder read that one and nothing beside it."""
    other = muster.make(f"/{domain}/clients", owner, {"name": "other"})["id"]
    muster.share(f"/{domain}/clients/{client}", owner, friend, "read")
    assert [client] == [one["id"] for one in muster.get(f"/{domain}/clients", friend)["clients"]]
    assert 404 == status(muster, "GET", f"/{domain}/clients/{other}", friend)
    assert 403 == status(muster, "PATCH", f"/{domain}/clients/{client}", friend, {"name": "x"})
    assert 403 == status(muster, "DELETE", f"/{domain}/clients/{client}", friend)
    assert 403 == status(muster, "POST", f"/{domain}/clients", friend, {"name": "x"})
    assert 403 == status(muster, "GET", f"/{domain}/journal", friend)
    assert 200 == status(muster, "GET", f"/{domain}/journal/client/{client}", friend)
    assert 404 == status(muster, "GET", f"/{domain}/journal/client/{other}", friend)


def test_a_role_can_be_widened_and_taken_away(
    muster: Muster, domain: str, owner: Person, friend: Person, client: str
):
    """At once, in both directions."""
    path = f"/{domain}/clients/{client}"
    role = muster.share(path, owner, friend, "read")
    muster.make(f"{path}/roles/{role}/actions", owner, {"actions": ["update"]})
    assert 200 == status(muster, "PATCH", path, friend, {"name": "renamed"})
    assert 204 == status(
        muster, "POST", f"{path}/roles/{role}/actions/delete", owner, {"actions": ["update"]}
    )
    assert 403 == status(muster, "PATCH", path, friend, {"name": "again"})
    assert 204 == status(
        muster, "POST", f"{path}/roles/{role}/members/delete", owner, {"members": [friend.id]}
    )
    assert 403 == status(muster, "GET", path, friend)  # holds no role in the domain any more


def test_connecting_needs_the_right_on_both_ends(
    muster: Muster, domain: str, owner: Person, friend: Person, client: str
):
    """connect_to_channel on the client and connect_to_client on the channel."""
    channel = muster.make(f"/{domain}/channels", owner, {"name": "c"})["id"]
    body = {"channel_ids": [channel], "client_ids": [client], "types": CONNECT}
    path = f"/{domain}/channels/connect"
    muster.share(f"/{domain}/clients/{client}", owner, friend, "read", "connect_to_channel")
    assert 404 == status(muster, "POST", path, friend, body)
    role = muster.share(f"/{domain}/channels/{channel}", owner, friend, "read")
    assert 403 == status(muster, "POST", path, friend, body)
    actions = {"actions": ["connect_to_client"]}
    muster.make(f"/{domain}/channels/{channel}/roles/{role}/actions", owner, actions)
    assert 201 == status(muster, "POST", path, friend, body)
    assert 409 == status(muster, "POST", path, friend, body)


def test_connecting_is_all_or_nothing(muster: Muster, domain: str, owner: Person, client: str):
    """One pair that exists already, is unknown or disabled, and none is made."""
    channels = [muster.make(f"/{domain}/channels", owner, {"name": n})["id"] for n in "ab"]
    sleeping = muster.make(f"/{domain}/clients", owner, {"name": "s", "status": "disabled"})["id"]
    path = f"/{domain}/channels/connect"
    muster.make(path, owner, {"channel_ids": channels[:1], "client_ids": [client], "types": ["publish"]})
    for ids, clients, expected in (
        (channels, [client], 409),
        ([channels[1], "no such channel"], [client], 404),
        ([channels[1]], [client, sleeping], 404),
    ):
        body = {"channel_ids": ids, "client_ids": clients, "types": CONNECT}
        assert expected == status(muster, "POST", path, owner, body)
        assert 0 == muster.get(f"/{domain}/clients?channel={channels[1]}", owner)["total"]


def test_nobody_gives_away_more_than_she_has(
    muster: Muster, domain: str, owner: Person, friend: Person, person: Callable[[], Person]
):
    """Who may manage roles cannot make herself, or others, an admin by it."""
    path, other = f"/domains/{domain}", person()
    muster.share(path, owner, friend, "read", "manage_role", "add_role_users", "view_role_users")
    roles = muster.get(f"{path}/roles", friend)["roles"]
    admin = next(role["id"] for role in roles if role["name"] == "admin")
    members = {"members": [friend.id]}
    assert 403 == status(muster, "POST", f"{path}/roles/{admin}/members", friend, members)
    body = {"role_name": "r", "optional_actions": ["delete"], "optional_members": [friend.id]}
    assert 403 == status(muster, "POST", f"{path}/roles", friend, body)
    invitation = {"invitee_user_id": other.id, "role_id": admin}
    assert 403 == status(muster, "POST", f"{path}/invitations", friend, invitation)
    body = {"role_name": "r", "optional_actions": ["read"], "optional_members": [other.id]}
    assert 201 == status(muster, "POST", f"{path}/roles", friend, body)


def test_the_built_in_role_stays_and_a_domain_keeps_an_admin(
    muster: Muster, domain: str, owner: Person, friend: Person, client: str
):
    """Neither renamed nor emptied of rights; the last admin of a domain cannot be taken."""
    for path in (f"/domains/{domain}", f"/{domain}/clients/{client}"):
        admin = next(r["id"] for r in muster.get(f"{path}/roles", owner)["roles"] if r["name"] == "admin")
        assert 403 == status(muster, "PUT", f"{path}/roles/{admin}", owner, {"name": "x"})
        assert 403 == status(muster, "POST", f"{path}/roles/{admin}/actions/delete-all", owner)
        assert 403 == status(muster, "DELETE", f"{path}/roles/{admin}", owner)
        assert 409 == status(muster, "POST", f"{path}/roles", owner, {"role_name": "admin"})
    path = f"/domains/{domain}/roles"
    admin = next(r["id"] for r in muster.get(path, owner)["roles"] if r["name"] == "admin")
    assert 409 == status(muster, "POST", f"{path}/{admin}/members/delete-all", owner)
    assert 409 == status(muster, "DELETE", f"{path}/members", owner, {"member_ids": [owner.id]})
    muster.make(f"{path}/{admin}/members", owner, {"members": [friend.id]})
    assert 204 == status(muster, "DELETE", f"{path}/members", owner, {"member_ids": [owner.id]})
    assert 403 == status(muster, "GET", f"/domains/{domain}", owner)
    assert 200 == status(muster, "GET", f"/domains/{domain}", friend)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "empty role name"),
        ({"role_name": "x" * 201}, "invalid name size"),
        ({"role_name": "r", "optional_actions": ["fly"]}, "no such action for a device: fly"),
    ],
)
def test_a_role_says_what_it_lacks(
    muster: Muster, domain: str, owner: Person, client: str, body: object, error: str
):
    """The texts of spec A.0; a role's name has 200 bytes at most."""
    answer = muster.ask("POST", f"/{domain}/clients/{client}/roles", owner, json=body)
    assert (400, error) == (answer.status_code, answer.json()["error"])


def test_a_role_of_one_client_is_none_of_another(
    muster: Muster, domain: str, owner: Person, friend: Person, client: str
):
    """Its id is good under its own entity only."""
    other = muster.make(f"/{domain}/clients", owner, {"name": "other"})["id"]
    role = muster.share(f"/{domain}/clients/{client}", owner, friend, "read")
    assert 404 == status(muster, "GET", f"/{domain}/clients/{other}/roles/{role}", owner)
    assert 404 == status(muster, "DELETE", f"/{domain}/clients/{other}/roles/{role}", owner)
    assert 200 == status(muster, "GET", f"/{domain}/clients/{client}/roles/{role}", owner)


# --- groups --------------------------------------------------------------------------------------------


def test_rights_go_down_from_a_group_to_all_it_holds(
    muster: Muster, domain: str, owner: Person, friend: Person, client: str
):
    """To devices, channels and groups inside, however deep; and only there."""
    top = muster.make(f"/{domain}/groups", owner, {"name": "top"})["id"]
    mid = muster.make(f"/{domain}/groups", owner, {"name": "mid", "parent_id": top})["id"]
    low = muster.make(f"/{domain}/groups", owner, {"name": "low", "parent_id": mid})["id"]
    muster.make(f"/{domain}/clients/{client}/parent", owner, {"parent_group_id": low})
    actions = ("read", "subgroup_read", "client_read", "client_update", "client_create")
    muster.share(f"/{domain}/groups/{top}", owner, friend, *actions)
    assert [client] == [one["id"] for one in muster.get(f"/{domain}/clients", friend)["clients"]]
    assert 200 == status(muster, "PATCH", f"/{domain}/clients/{client}", friend, {"name": "x"})
    assert 403 == status(muster, "DELETE", f"/{domain}/clients/{client}", friend)
    groups = muster.get(f"/{domain}/groups?order=created_at", friend)["groups"]
    assert [top, mid, low] == [one["id"] for one in groups]
    new = {"name": "made below", "parent_group_id": low}
    assert 201 == status(muster, "POST", f"/{domain}/clients", friend, new)
    assert 403 == status(muster, "POST", f"/{domain}/clients", friend, {"name": "made outside"})
    assert 204 == status(muster, "DELETE", f"/{domain}/clients/{client}/parent", owner)
    assert 404 == status(muster, "GET", f"/{domain}/clients/{client}", friend)


def test_an_entity_of_the_same_id_elsewhere_is_in_nobodys_way(
    muster: Muster, domain: str, owner: Person, stranger: Person, person: Callable[[], Person]
):
    """Client ids are unique in a domain only: whoever takes another's has no hold on its role `admin`."""
    friend = person()
    client = muster.make(f"/{domain}/clients", owner, {"name": "mine"})["id"]
    alias = f"elsewhere-{client}"
    other = muster.make("/domains", stranger, {"name": "e", "alias": alias})["id"]
    muster.make(f"/{other}/clients", stranger, {"id": client})
    muster.make(f"/{domain}/channels", owner, {"id": client})
    role = f"admin-{client}"
    places = [(f"/{other}/clients", stranger), (f"/{domain}/channels", owner), (f"/{domain}/clients", owner)]
    for path, who in places:
        for _ in range(2):  # the second time it is stored
            muster.make(f"{path}/{client}/roles/{role}/members", who, {"members": [friend.id]})
        [found] = muster.get(f"{path}/{client}/roles", who)["roles"]
        assert {who.id, friend.id} == set(found["members"])
        assert found == muster.get(f"{path}/{client}/roles/{role}", who)
        assert found == muster.get(f"{path}/{client}/roles/{found['id']}", who)
        for name in (role, found["id"]):
            assert 1 == muster.get(f"{path}?role_id={name}", who)["total"]


def test_who_made_a_group_administers_what_is_in_it(
    muster: Muster, domain: str, owner: Person, friend: Person, client: str
):
    """The built-in role of the group goes down like any other."""
    muster.share(f"/domains/{domain}", owner, friend, "group_create")
    group = muster.make(f"/{domain}/groups", friend, {"name": "mine"})["id"]
    assert 404 == status(muster, "GET", f"/{domain}/clients/{client}", friend)
    muster.make(f"/{domain}/clients/{client}/parent", owner, {"parent_group_id": group})
    assert 200 == status(muster, "GET", f"/{domain}/clients/{client}", friend)
    assert [client] == [one["id"] for one in muster.get(f"/{domain}/clients", friend)["clients"]]


def test_a_hidden_branch_of_a_tree_stays_hidden(muster: Muster, domain: str, owner: Person, friend: Person):
    """Reading a group does not show the groups below it."""
    top = muster.make(f"/{domain}/groups", owner, {"name": "top"})["id"]
    muster.make(f"/{domain}/groups", owner, {"name": "secret", "parent_id": top})
    muster.share(f"/{domain}/groups/{top}", owner, friend, "read")
    assert 0 == muster.get(f"/{domain}/groups/{top}/children", friend)["total"]
    tree = muster.get(f"/{domain}/groups/{top}/hierarchy?level=3&dir=-1&tree=true", friend)
    assert [top] == [one["id"] for one in tree["groups"]]
    assert "children" not in tree["groups"][0]


def test_a_group_never_hangs_under_itself(muster: Muster, domain: str, owner: Person):
    """Neither directly nor through others."""
    top = muster.make(f"/{domain}/groups", owner, {"name": "top"})["id"]
    low = muster.make(f"/{domain}/groups", owner, {"name": "low", "parent_id": top})["id"]
    for group, parent in ((top, top), (top, low)):
        answer = muster.ask("POST", f"/{domain}/groups/{group}/parent", owner, json={"parent_id": parent})
        assert (400, "self parenting not allowed") == (answer.status_code, answer.json()["error"])
    answer = muster.ask("POST", f"/{domain}/groups/{low}/children", owner, json={"children_ids": [top]})
    assert 400 == answer.status_code
    assert top == muster.get(f"/{domain}/groups/{low}", owner)["parent_id"]


def test_hierarchies_go_up_and_down(muster: Muster, domain: str, owner: Person):
    """As a list, or below as a tree, as many levels as asked."""
    ids = [muster.make(f"/{domain}/groups", owner, {"name": "0"})["id"]]
    for n in range(1, 4):
        ids.append(muster.make(f"/{domain}/groups", owner, {"name": str(n), "parent_id": ids[-1]})["id"])

    def listed(group: int, query: str) -> list[str]:
        page = muster.get(f"/{domain}/groups/{ids[group]}/hierarchy?{query}", owner)
        return [one["name"] for one in page["groups"]]

    assert ["0", "1", "2", "3"] == listed(3, "dir=1&level=5")
    assert ["2", "3"] == listed(3, "dir=1&level=1")
    assert ["0", "1", "2"] == listed(0, "dir=-1&level=2")
    assert ["0"] == listed(0, "level=2&tree=true")
    assert ["0"] == listed(0, "")
    assert 400 == status(muster, "GET", f"/{domain}/groups/{ids[0]}/hierarchy?level=6", owner)


def test_what_a_deleted_group_held_is_in_no_group(muster: Muster, domain: str, owner: Person, client: str):
    """Devices, channels and groups stay."""
    top = muster.make(f"/{domain}/groups", owner, {"name": "top"})["id"]
    low = muster.make(f"/{domain}/groups", owner, {"name": "low", "parent_id": top})["id"]
    muster.make(f"/{domain}/clients/{client}/parent", owner, {"parent_group_id": top})
    assert 204 == status(muster, "DELETE", f"/{domain}/groups/{top}", owner)
    assert "parent_group_id" not in muster.get(f"/{domain}/clients/{client}", owner)
    assert "parent_id" not in muster.get(f"/{domain}/groups/{low}", owner)


# --- invitations ---------------------------------------------------------------------------------------


def test_an_invitation_is_answered_once(muster: Muster, domain: str, owner: Person, friend: Person):
    """Accepting makes a member; a second answer is 409 with upstream's text."""
    role = muster.make(f"/domains/{domain}/roles", owner, {"role_name": "r", "optional_actions": ["read"]})[
        "id"
    ]
    body = {"invitee_user_id": friend.id, "role_id": role}
    assert 201 == status(muster, "POST", f"/domains/{domain}/invitations", owner, body)
    assert 409 == status(muster, "POST", f"/domains/{domain}/invitations", owner, body)
    assert 403 == status(muster, "GET", f"/domains/{domain}", friend)
    assert 1 == muster.get("/invitations?state=pending", friend)["total"]
    answer = {"domain_id": domain}
    assert 204 == status(muster, "POST", "/invitations/accept", friend, answer)
    assert 200 == status(muster, "GET", f"/domains/{domain}", friend)
    for verb in ("accept", "reject"):
        again = muster.ask("POST", f"/invitations/{verb}", friend, json=answer)
        assert (409, "invitation already accepted") == (again.status_code, again.json()["message"])
    assert 404 == status(muster, "POST", "/invitations/accept", friend, {"domain_id": "no such domain"})
    answered = muster.get(f"/domains/{domain}/invitations/{friend.id}", owner)
    assert "0001-01-01T00:00:00Z" != answered["confirmed_at"]
    assert "0001-01-01T00:00:00Z" == answered["rejected_at"]
