"""Lists: windows, orders and filters (spec A.0)."""

import json
from urllib.parse import quote

import pytest

from tests.dialects.magistrala.harness import Muster, Person

LISTS = ("/{domain}/clients", "/{domain}/channels", "/{domain}/groups", "/domains", "/pats", "/invitations")


@pytest.fixture(scope="module")
def plant(muster: Muster, owner: Person) -> str:
    """A domain with 12 clients, channels and groups."""
    domain = muster.domain(owner, "lists")
    for kind in ("clients", "channels"):
        several = [
            {
                "name": f"Name {n:02}",
                "tags": [f"tag{n % 3}", "All"],
                "metadata": {"a": {"b": n % 2, "c": [n]}, "text": f"x{n}"},
            }
            for n in range(12)
        ]
        muster.make(f"/{domain}/{kind}/bulk", owner, several)
    for n in range(12):
        muster.make(f"/{domain}/groups", owner, {"name": f"Name {n:02}", "metadata": {"a": {"b": n % 2}}})
    return domain


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=0", "invalid limit size"),
        ("limit=101", "invalid limit size"),
        ("limit=99999999999999999999", "invalid limit size"),
        ("limit=-1", "invalid query parameters"),
        ("limit=ten", "invalid query parameters"),
        ("limit=", "invalid query parameters"),
        ("offset=x", "invalid query parameters"),
        ("limit=1&limit=2", "invalid query parameters"),
        ("offset=99999999999999999999999", "invalid offset size"),
    ],
)
def test_a_window_out_of_range_is_refused(
    muster: Muster, plant: str, owner: Person, path: str, query: str, error: str
):
    """1 to 100, everywhere (spec I, row 20)."""
    answer = muster.ask("GET", f"{path.format(domain=plant)}?{query}", owner)
    expected = {"error": error, "message": "something went wrong with the request"}
    assert (400, expected) == (answer.status_code, answer.json())


@pytest.mark.parametrize(
    "query", ["name=a&name=b", "status=all&status=all", "metadata={", "metadata=[1]", "name=%ff"]
)
def test_a_filter_that_cannot_be_read_is_refused(muster: Muster, plant: str, owner: Person, query: str):
    """Given twice, or no JSON object."""
    for kind in ("clients", "channels", "groups"):
        answer = muster.ask("GET", f"/{plant}/{kind}?{query}", owner)
        assert (400, "invalid query parameters") == (answer.status_code, answer.json()["error"])


def names(muster: Muster, plant: str, owner: Person, kind: str, query: str) -> list[str]:
    page = muster.get(f"/{plant}/{kind}?{query}", owner)
    return [one["name"] for one in page[kind]]


@pytest.mark.parametrize("kind", ["clients", "channels", "groups"])
def test_windows_cover_the_whole_once(muster: Muster, plant: str, owner: Person, kind: str):
    """limit 1 and 100 are the ends of the range; 10 is the default; total counts all."""
    page = muster.get(f"/{plant}/{kind}", owner)
    assert (10, 0, 12, 10) == (page["limit"], page["offset"], page["total"], len(page[kind]))
    windows = [names(muster, plant, owner, kind, f"limit=5&offset={n}&order=name") for n in (0, 5, 10, 15)]
    assert [5, 5, 2, 0] == [len(window) for window in windows]
    assert [f"Name {n:02}" for n in range(12)] == [name for window in windows for name in window]
    assert 12 == len(names(muster, plant, owner, kind, "limit=100"))
    assert 12 == muster.get(f"/{plant}/{kind}?limit=1&offset=50", owner)["total"]


@pytest.mark.parametrize("kind", ["clients", "channels", "groups"])
def test_orders(muster: Muster, plant: str, owner: Person, kind: str):
    """By name and time, both ways; one that is not known falls back silently."""
    ascending = [f"Name {n:02}" for n in range(12)]
    assert ascending == names(muster, plant, owner, kind, "limit=12&order=name&dir=asc")
    assert ascending[::-1] == names(muster, plant, owner, kind, "limit=12&order=name&dir=desc")
    assert 12 == len(names(muster, plant, owner, kind, "limit=12&order=created_at&dir=desc"))
    default = names(muster, plant, owner, kind, "limit=12")
    assert default == names(muster, plant, owner, kind, "limit=12&order=secret_digest&dir=sideways")


@pytest.mark.parametrize("kind", ["clients", "channels", "groups"])
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=name 03", 1),
        ("name=NAME 0", 10),
        ('name="Name 03"', 1),
        ("name='Name 03'", 1),
        ("name=%25", 0),
        ("name=_", 0),
        ('metadata={"a":{"b":1}}', 6),
        ('metadata="{\\"a\\":{\\"b\\":1}}"', 6),
        ('metadata={"a":{"b":2}}', 0),
        ("metadata={}", 12),
        ("status=disabled", 0),
        ("status=all", 12),
        ("status=deleted", 0),
        ("id=no such id", 0),
    ],
)
def test_filters_leave_what_matches_and_count_it(
    muster: Muster, plant: str, owner: Person, kind: str, query: str, found: int
):
    """Text whatever the case and anywhere; metadata by containment; quotes forgiven (I, rows 6 and 14)."""
    name, _, value = query.partition("=")
    value = value if "%" in value else quote(value)
    page = muster.get(f"/{plant}/{kind}?limit=100&{name}={value}", owner)
    assert (found, found) == (page["total"], len(page[kind]))


def test_tags_and_deeper_metadata_filter_clients(muster: Muster, plant: str, owner: Person):
    """A part of a tag; arrays by containment."""
    assert 4 == muster.get(f"/{plant}/clients?tag=TAG1", owner)["total"]
    assert 12 == muster.get(f"/{plant}/clients?tag=al", owner)["total"]
    part = quote(json.dumps({"a": {"b": 1, "c": [3]}}))
    assert ["Name 03"] == names(muster, plant, owner, "clients", f"metadata={part}")


def test_an_invalid_status_is_refused(muster: Muster, plant: str, owner: Person):
    """Upstream's text."""
    for path in (f"/{plant}/clients", f"/{plant}/channels", f"/{plant}/groups", "/domains"):
        answer = muster.ask("GET", f"{path}?status=asleep", owner)
        assert (400, "invalid status") == (answer.status_code, answer.json()["error"])


def test_lists_show_the_enabled_unless_asked(muster: Muster, domain: str, owner: Person):
    """`enabled` is the default, `all` has both."""
    for kind in ("clients", "channels", "groups"):
        one = muster.make(f"/{domain}/{kind}", owner, {"name": "a"})["id"]
        muster.make(f"/{domain}/{kind}", owner, {"name": "b"})
        muster.make(f"/{domain}/{kind}/{one}/disable", owner, None)
        assert ["b"] == names(muster, domain, owner, kind, "")
        assert ["a"] == names(muster, domain, owner, kind, "status=disabled")
        assert ["a", "b"] == names(muster, domain, owner, kind, "status=all&order=name")


def test_clients_by_channel_group_and_kind_of_connection(muster: Muster, domain: str, owner: Person):
    """The relation filters, and both forms of the seed; rows say how they are connected."""
    clients = muster.make(
        f"/{domain}/clients/bulk", owner, [{"name": n} for n in ("pub", "sub", "both", "none")]
    )
    ids = {one["name"]: one["id"] for one in clients["clients"]}
    channel = muster.make(f"/{domain}/channels", owner, {"name": "c"})["id"]
    for types, who in (("publish", ["pub", "both"]), ("subscribe", ["sub", "both"])):
        body = {"client_ids": [ids[name] for name in who], "types": [types]}
        muster.make(f"/{domain}/channels/{channel}/connect", owner, body)
    for path in (f"/{domain}/clients?channel={channel}&", f"/{domain}/channels/{channel}/clients?"):
        page = muster.get(f"{path}order=name", owner)
        kinds = {one["name"]: one["connection_types"] for one in page["clients"]}
        assert {"both": ["Publish", "Subscribe"], "pub": ["Publish"], "sub": ["Subscribe"]} == kinds
        page = muster.get(f"{path}connection_type=Subscribe&order=name", owner)
        assert ["both", "sub"] == [one["name"] for one in page["clients"]]
    for path in (f"/{domain}/clients/{ids['pub']}/channels", f"/clients/{ids['pub']}/channels"):
        assert ["c"] == [one["name"] for one in muster.get(path, owner)["channels"]]
    assert 0 == muster.get(f"/{domain}/channels?client={ids['none']}", owner)["total"]
    for kind in ("clients", "channels"):
        assert 400 == muster.ask("GET", f"/{domain}/{kind}?connection_type=both", owner).status_code
    group = muster.make(f"/{domain}/groups", owner, {"name": "g"})["id"]
    muster.make(f"/{domain}/clients/{ids['none']}/parent", owner, {"parent_group_id": group})
    page = muster.get(f"/{domain}/clients?group={group}", owner)
    assert ["none"] == [one["name"] for one in page["clients"]]
    assert group == page["clients"][0]["parent_group_id"]


def test_domains_of_a_role(muster: Muster, owner: Person, stranger: Person):
    """Rows have the caller's role; the filters by role leave the domains in which it is held."""
    shared = muster.domain(owner, "shared-domain")
    muster.share(f"/domains/{shared}", owner, stranger, "read", "client_read", name="viewer")
    rows = {one["id"]: one for one in muster.get("/domains?limit=100", stranger)["domains"]}
    assert ("viewer", ["read", "client_read"]) == (rows[shared]["role_name"], rows[shared]["actions"])
    for query, found in (
        ("role_name=viewer", [shared]),
        (f"role_id={rows[shared]['role_id']}", [shared]),
        ("actions=client_read,read&role_name=viewer", [shared]),
        ("actions=client_delete&role_name=viewer", []),
        ("role_name=no such role", []),
    ):
        page = muster.get(f"/domains?{query}", stranger)
        assert found == [one["id"] for one in page["domains"]], query


def test_clients_by_role_action_and_user(muster: Muster, domain: str, owner: Person, stranger: Person):
    """What the caller, or with `user` somebody else, may do decides; rows then have the role."""
    made = muster.make(f"/{domain}/clients/bulk", owner, [{"name": "a"}, {"name": "b"}, {"name": "c"}])[
        "clients"
    ]
    ids = [one["id"] for one in made]
    muster.share(f"/{domain}/clients/{ids[0]}", owner, stranger, "read", "update", name="fixer")
    muster.share(f"/{domain}/clients/{ids[1]}", owner, stranger, "read", name="viewer")

    def found(query: str, who: Person) -> list[str]:
        return names(muster, domain, who, "clients", f"order=name&{query}")

    assert ["a", "b"] == found("", stranger)
    assert ["a"] == found("actions=update", stranger)
    assert ["b"] == found("role_name=viewer", stranger)
    assert [] == found("role_name=admin", stranger)
    assert ["a", "b"] == found(f"user={stranger.id}", owner)
    assert ["a", "b", "c"] == found("role_name=admin", owner)
    assert ["c"] == found(f"role_id=admin-{ids[2]}", owner)
    row = muster.get(f"/{domain}/clients?actions=update", stranger)["clients"][0]
    assert ("fixer", ["read", "update"]) == (row["role_name"], row["actions"])
    assert 403 == muster.ask("GET", f"/{domain}/clients?user={owner.id}", stranger).status_code


def test_users_are_listed_by_admins_and_found_by_anybody(muster: Muster, owner: Person, stranger: Person):
    """The list is closed to others; a search shows the names only."""
    assert 403 == muster.ask("GET", "/users", owner).status_code
    page = muster.get(f"/users?username={stranger.username}", muster.admin())
    assert stranger.email in [one["email"] for one in page["users"]]
    found = muster.get(f"/users/search?username={stranger.username}", owner)["users"]
    assert stranger.username in [one["credentials"]["username"] for one in found]
    assert not any("email" in one for one in found)
    for query, error in (
        ("", "search query must not be empty"),
        ("username=ab", "search query must be at least 3 characters"),
        ("username=abc&dir=up", "invalid list direction provided"),
    ):
        answer = muster.ask("GET", f"/users/search?{query}", owner)
        assert (400, error) == (answer.status_code, answer.json()["error"])
