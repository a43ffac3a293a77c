"""What disabling and deleting takes away, and what the journal tells of it."""

from collections.abc import Callable

import pytest

from tests.dialects.magistrala.harness import PASSWORD, Muster, Person, status


@pytest.fixture
def friend(person: Callable[[], Person]) -> Person:
    return person()


@pytest.fixture
def client(muster: Muster, domain: str, owner: Person) -> str:
    made: str = muster.make(f"/{domain}/clients", owner, {"name": "shared"})["id"]
    return made


def test_a_disabled_user_is_nobody_everywhere(muster: Muster, domain: str, owner: Person, friend: Person):
    """Tokens, keys and logins end; enabling does not bring old tokens back, but keys."""
    muster.share(f"/domains/{domain}", owner, friend, "read", "client_read")
    key, admin = f"Bearer {muster.make('/keys', friend, {'type': 3})['value']}", muster.admin()
    assert 200 == status(muster, "POST", f"/users/{friend.id}/disable", admin)
    assert 409 == status(muster, "POST", f"/users/{friend.id}/disable", admin)
    login = {"username": friend.username, "password": PASSWORD}
    assert 401 == status(muster, "POST", "/users/tokens/issue", None, login)
    assert [401, 401] == [status(muster, "GET", f"/{domain}/clients", one) for one in (friend, key)]
    assert 401 == status(muster, "POST", "/users/tokens/refresh", f"Bearer {friend.refresh}", {})
    assert 403 == status(muster, "POST", f"/users/{friend.id}/enable", owner)
    assert 200 == status(muster, "POST", f"/users/{friend.id}/enable", admin)
    assert [401, 200] == [status(muster, "GET", f"/{domain}/clients", one) for one in (friend, key)]


def test_a_disabled_domain_lets_its_admins_in_a_frozen_one_only_the_installations(
    muster: Muster, domain: str, owner: Person, friend: Person
):
    """Spec A.2."""
    muster.share(f"/domains/{domain}", owner, friend, "read", "client_read")
    assert 403 == status(muster, "POST", f"/domains/{domain}/disable", friend)
    assert 200 == status(muster, "POST", f"/domains/{domain}/disable", owner)
    assert [200, 403] == [status(muster, "GET", f"/domains/{domain}", one) for one in (owner, friend)]
    assert 404 == status(muster, "PATCH", f"/domains/{domain}", owner, {"name": "x"})
    assert 200 == status(muster, "POST", f"/domains/{domain}/enable", owner)
    assert 403 == status(muster, "POST", f"/domains/{domain}/freeze", owner)
    admin = muster.admin()
    assert 200 == status(muster, "POST", f"/domains/{domain}/freeze", admin)
    assert [403, 200] == [status(muster, "GET", f"/domains/{domain}", one) for one in (owner, admin)]
    assert "freezed" == muster.get(f"/domains/{domain}", admin)["status"]
    assert 403 == status(muster, "POST", f"/domains/{domain}/enable", owner)
    assert 200 == status(muster, "POST", f"/domains/{domain}/enable", admin)


def test_a_disabled_client_cannot_be_changed(muster: Muster, domain: str, owner: Person, client: str):
    """Neither data nor secret; enabling twice is 409 with upstream's text."""
    path = f"/{domain}/clients/{client}"
    answer = muster.ask("POST", f"{path}/enable", owner)
    assert (409, "status already assigned") == (answer.status_code, answer.json()["message"])
    shown = muster.ask("POST", f"{path}/disable", owner).json()
    assert ({}, "disabled") == (shown["credentials"], shown["status"])
    assert 404 == status(muster, "PATCH", path, owner, {"name": "x"})
    assert 404 == status(muster, "PATCH", f"{path}/secret", owner, {"secret": "x"})
    assert 200 == status(muster, "POST", f"{path}/enable", owner)


def test_an_installation_keeps_an_admin(muster: Muster):
    """The last one is neither disabled, demoted nor deleted."""
    admin = muster.admin()
    others = muster.get("/users?limit=100", admin)["users"]
    for other in others:
        if other["role"] == "admin" and other["id"] != admin.id:
            assert 200 == status(muster, "PATCH", f"/users/{other['id']}/role", admin, {"role": "user"})
    assert 409 == status(muster, "POST", f"/users/{admin.id}/disable", admin)
    assert 409 == status(muster, "PATCH", f"/users/{admin.id}/role", admin, {"role": "user"})
    assert 409 == status(muster, "DELETE", f"/users/{admin.id}", admin)


def test_a_deleted_user_leaves_free_names_and_no_rights(
    muster: Muster, domain: str, owner: Person, person: Callable[[], Person]
):
    """The username can be taken again; the new user has none of the old one's rights."""
    gone = person()
    muster.share(f"/domains/{domain}", owner, gone, "read", "client_read")
    assert 204 == status(muster, "DELETE", f"/users/{gone.id}", gone)
    assert 401 == status(muster, "GET", "/users/profile", gone)
    assert 404 == status(muster, "GET", f"/users/{gone.id}", owner)
    again = muster.register(gone.username)
    assert gone.id != again.id
    assert 403 == status(muster, "GET", f"/domains/{domain}", again)


def test_a_new_password_ends_every_token(muster: Muster, person: Callable[[], Person]):
    """Also the one that set it; the old password is wrong from then on."""
    user = person()
    wrong = {"old_secret": "not this one", "new_secret": "something else"}
    assert 401 == status(muster, "PATCH", "/users/secret", user, wrong)
    right = {"old_secret": PASSWORD, "new_secret": "something else"}
    assert 200 == status(muster, "PATCH", "/users/secret", user, right)
    assert 401 == status(muster, "GET", "/users/profile", user)
    assert 401 == status(muster, "POST", "/users/tokens/refresh", f"Bearer {user.refresh}", {})
    assert user.id == muster.login(user.username, "something else").id


def test_the_journal_says_who_did_what(muster: Muster, domain: str, owner: Person, friend: Person):
    """In the transaction that did it; by entity, operation, actor and time."""
    muster.share(f"/domains/{domain}", owner, friend, "client_create", "client_update")
    client = muster.make(f"/{domain}/clients", friend, {"name": "a"})["id"]
    path = f"/{domain}/journal"

    def told(query: str) -> list[tuple[str, str]]:
        page = muster.get(f"{path}?{query}", owner)
        return [(one["operation"], one["attributes"]["actor"]) for one in page["journals"]]

    assert [("client.create", friend.id)] == told(f"entity_type=client&entity_id={client}")
    assert [("client.create", friend.id)] == told(f"actor={friend.id}")
    assert [("domain.create", owner.id)] == told("operation=domain.create")
    assert [] == told("to=1000000000")
    everything = muster.get(f"{path}?dir=asc&from=1000000000", owner)
    assert "domain.create" == everything["journals"][0]["operation"]
    assert everything["total"] == len(everything["journals"])
    assert 1 == muster.get(f"{path}/user/{friend.id}", owner)["total"]
    assert 204 == status(muster, "DELETE", f"/{domain}/clients/{client}", owner)
    assert [("client.delete", owner.id), ("client.create", friend.id)] == told(f"entity_id={client}")
    assert 403 == status(muster, "GET", f"/journal/user/{owner.id}", friend)
    for query in ("dir=up", "entity_type=dragon", "from=x", "to=99999999999999"):
        assert 400 == status(muster, "GET", f"{path}?{query}", owner)
