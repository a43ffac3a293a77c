"""Users, tokens, domains, roles, invitations: each verb against a real server."""

import uuid

from tests.cli.conftest import Person, Shell


def unique(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


def test_anyone_can_make_an_account(bare: Shell) -> None:
    """And look at it after logging in; self-registration is on."""
    name = unique("joe")
    made = bare.json(
        "users", "create", name, "--email", f"{name}@example.com",
        "--first-name", "Joe", "--last-name", "Doe", "--tag", "new", "--password", "-",
        stdin="joe's password\n",
    )  # fmt: skip
    bare("login", name, "--password", "-", stdin="joe's password\n")
    profile = bare.json("users", "profile")
    assert (made["id"], ["new"]) == (profile["id"], profile["tags"])
    assert profile == bare.json("users", "get", made["id"])


def test_a_user_changes_what_is_the_users_own(muster: Shell, jane: Person) -> None:
    """Names, address, picture, tags."""
    name = unique("janet")
    muster("users", "update", jane.id, "--first-name", "Janet", "--metadata", '{"a": 1}')
    muster("users", "username", jane.id, name)
    muster("users", "email", jane.id, f"{name}@example.com")
    muster("users", "picture", jane.id, "https://example.com/p.png")
    muster("users", "tags", jane.id, "x", "y")
    shown = muster.json("users", "profile")
    told = (
        shown["first_name"],
        shown["credentials"]["username"],
        shown["email"],
        shown["tags"],
        shown["metadata"],
    )
    assert ("Janet", name, f"{name}@example.com", ["x", "y"], {"a": 1}) == told
    assert "https://example.com/p.png" == shown["profile_picture"]
    assert [jane.id] == [row["id"] for row in muster.json("users", "search", "--username", name)["users"]]


def test_what_only_admins_may_is_refused_to_others(muster: Shell, jane: Person) -> None:
    """In words, with what to do."""
    muster.try_("users", "list").refused("403", "muster status")
    muster.try_("users", "role", jane.id, "admin").refused("403")


def test_an_admin_manages_users(admin: Shell, jane: Person) -> None:
    """Lists them, disables, enables, promotes, recovers and deletes them."""
    found = admin.json("users", "list", "--username", jane.name)
    assert [jane.id] == [row["id"] for row in found["users"]]
    assert "disabled" == admin.json("users", "disable", jane.id)["status"]
    ran = admin.try_("users", "token", jane.name, "--password", "-", stdin=jane.password)
    ran.refused("username or password is wrong")
    assert "enabled" == admin.json("users", "enable", jane.id)["status"]
    assert "admin" == admin.json("users", "role", jane.id, "admin")["role"]
    token = admin.json("users", "recovery", jane.id)["token"]
    admin("users", "reset-password", "--token", "-", "--new", "-", stdin=f"{token}\na new password\n")
    assert admin.json("users", "token", jane.name, "--password", "-", stdin="a new password")["access_token"]
    again = admin.try_(
        "users", "reset-password", "--token", "-", "--new", "-", stdin=f"{token}\nyet another\n"
    )
    again.refused("401")
    admin("users", "delete", jane.id)
    admin.try_("users", "get", jane.id).refused("404")


def test_tokens_are_issued_and_refreshed(muster: Shell, jane: Person) -> None:
    """By name and password, by the profile's refresh token, by one from elsewhere."""
    issued = muster.json("tokens", "issue", jane.name, "--password", "-", stdin=jane.password)
    assert muster.json("tokens", "refresh")["access_token"]
    given = muster.json("tokens", "refresh", "--token", "-", stdin=issued["refresh_token"])
    assert given["access_token"]
    muster.try_("tokens", "refresh", "--token", "-", stdin=issued["access_token"]).refused("401")
    muster("logout")
    muster.try_("tokens", "refresh").refused("no refresh token", "muster login", code=2)


def test_an_api_key_works_instead_of_a_login(muster: Shell, jane: Person) -> None:
    """Until it is deleted."""
    made = muster.json("tokens", "keys", "create", "--duration", "1h30m")
    assert made["id"] == muster.json("tokens", "keys", "get", made["id"])["id"]
    muster.environment["MUSTER_TOKEN"] = made["value"]
    assert jane.name == muster.json("status")["user"]
    del muster.environment["MUSTER_TOKEN"]
    muster("tokens", "keys", "delete", made["id"])
    muster.environment["MUSTER_TOKEN"] = made["value"]
    muster.try_("users", "profile").refused("401")
    muster.try_("tokens", "keys", "create", "--duration", "soon").refused("is no duration", "1h30m", code=2)


def test_a_personal_access_token_from_beginning_to_end(muster: Shell) -> None:
    """Made, listed, renamed, reset, revoked, deleted."""
    made = muster.json("tokens", "pats", "create", "ci", "--duration", "720h", "--description", "for CI")
    assert made["secret"].startswith("pat_")
    id_ = made["id"]
    muster("tokens", "pats", "name", id_, "ci 2")
    muster("tokens", "pats", "description", id_, "for CI, too")
    shown = muster.json("tokens", "pats", "get", id_)
    assert ("ci 2", "for CI, too", None) == (shown["name"], shown["description"], shown.get("secret"))
    assert made["secret"] != muster.json("tokens", "pats", "reset", id_, "--duration", "1h")["secret"]
    muster("tokens", "pats", "revoke", id_)
    assert [id_] == [row["id"] for row in muster.json("tokens", "pats", "list")["pats"]]
    muster("tokens", "pats", "delete", id_)
    assert [] == muster.json("tokens", "pats", "list")["pats"]


def test_a_domain_from_beginning_to_end(muster: Shell, admin: Shell) -> None:
    """Made, listed, changed, closed, opened; only an admin of the installation freezes."""
    alias = unique("north")
    made = muster.json("domains", "create", "North", alias, "--tag", "a", "--metadata", '{"x": 1}')
    assert made == muster.json("domains", "get", alias)
    assert [made["id"]] == [row["id"] for row in muster.json("domains", "list", "--name", "North")["domains"]]
    muster("domains", "update", alias, "--name", "North 2")
    assert "North 2" == muster.json("domains", "get", made["id"])["name"]
    muster("domains", "disable", alias)
    assert "disabled" == muster.json("domains", "get", alias)["status"]
    muster("domains", "enable", alias)
    muster.try_("domains", "freeze", alias).refused("403")
    assert f"{made['id']} is changed\n" == admin("domains", "freeze", made["id"]).out
    admin("domains", "enable", made["id"])


def test_roles_and_invitations_let_others_in(muster: Shell, admin: Shell, jane: Person) -> None:
    """A user is invited into a role, accepts, and may what the role allows."""
    alias = unique("shared")
    domain = muster.json("domains", "create", "Shared", alias)["id"]
    guest = Shell(muster.folder / "guest", MUSTER_URL=muster.environment["MUSTER_URL"])
    guest.folder.mkdir()
    name = unique("guest")
    person = guest.json(
        "users", "create", name, "--email", f"{name}@example.com", "--first-name", "G", "--last-name", "H",
        "--password", "-", stdin="guest password\n",
    )  # fmt: skip
    guest("login", name, "--password", "-", stdin="guest password\n")
    actions = muster.json("roles", "actions", alias)["available_actions"]
    role = muster.json("roles", "create", alias, "readers", "--action", "read")
    role_id = role.get("role_id") or role["id"]
    assert "read" in actions
    muster("roles", "allow", alias, role_id, "update")
    muster("roles", "forbid", alias, role_id, "update")
    assert ["read"] == muster.json("roles", "get", alias, role_id)["actions"]
    assert 2 == muster.json("roles", "list", alias)["total"]
    guest.try_("domains", "get", domain).refused(code=1)
    muster("invitations", "send", alias, person["id"], role_id)
    assert [person["id"]] == [
        row["invitee_user_id"]
        for row in muster.json("invitations", "list", alias, "--state", "pending")["invitations"]
    ]
    assert [domain] == [row["domain_id"] for row in guest.json("invitations", "mine")["invitations"]]
    guest("invitations", "accept", domain)
    assert domain == guest.json("domains", "get", domain)["id"]
    muster("roles", "remove", alias, role_id, person["id"])
    guest.try_("domains", "get", domain).refused(code=1)
    muster("roles", "add", alias, role_id, person["id"])
    assert domain == guest.json("domains", "get", domain)["id"]
    muster("roles", "delete", alias, role_id)


def test_invitations_are_declined_and_taken_back(muster: Shell, admin: Shell) -> None:
    """By who got them, and by who sent them."""
    alias = unique("private")
    muster("domains", "create", "Private", alias)
    role = muster.json("roles", "create", alias, "readers", "--action", "read")
    role_id = role.get("role_id") or role["id"]
    other = admin.json("users", "profile")["id"]
    domain = muster.json("domains", "get", alias)["id"]
    muster("invitations", "send", alias, other, role_id)
    admin("invitations", "reject", domain)
    assert [] == muster.json("invitations", "list", alias, "--state", "pending")["invitations"]
    muster("invitations", "delete", alias, other)
    assert [] == muster.json("invitations", "list", alias)["invitations"]


def test_the_journal_says_who_did_what(muster: Shell, jane: Person) -> None:
    """The newest first, filtered by what is asked."""
    id_ = muster.json("clients", "create", "--name", "c")["id"]
    muster("clients", "disable", id_)
    found = muster.json("journal", "--entity", id_)["journals"]
    assert ["client.disable", "client.create"] == [row["operation"] for row in found]
    assert {jane.id} == {row["attributes"]["actor"] for row in found}
    assert 1 == muster.json("journal", "--operation", "client.disable", "--actor", jane.id)["total"]
    assert id_ in muster("journal", "--kind", "client").out


def test_any_request_can_be_made(muster: Shell, jane: Person) -> None:
    """For what has no command of its own."""
    assert jane.id == muster.json("api", "get", "/users/profile")["id"]
    made = muster.json("api", "POST", "/domains", f'{{"name": "N", "alias": "{unique("api")}"}}')
    body = muster.file("body.json", '{"name": "N 2"}')
    assert "N 2" == muster.json("api", "PATCH", f"/domains/{made['id']}", f"@{body}")["name"]
    assert "muster_http_requests" in muster("api", "GET", "/metrics").out
    assert 1 == len(muster.json("api", "GET", "/domains?limit=1")["domains"])
    muster.try_("api", "GET", "/nothing/like/this").refused("404")
    muster.try_("api", "GET", "users").refused("must begin with a slash", code=2)
    muster.try_("api", "POST", "/domains", "{").refused("no JSON", code=2)
