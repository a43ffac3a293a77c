"""API keys and personal access tokens: what they open, and when they end (spec A.7)."""

import pytest

from tests.dialects.magistrala.harness import PASSWORD, Muster, Person, status


@pytest.fixture
def client(muster: Muster, domain: str, owner: Person) -> str:
    made: str = muster.make(f"/{domain}/clients", owner, {"name": "shared"})["id"]
    return made


def pat(muster: Muster, owner: Person, *scope: dict[str, str]) -> str:
    made = muster.make("/pats", owner, {"name": "p", "duration": "1h", "scope": list(scope)})
    return f"Bearer {made['secret']}"


def test_a_token_without_a_scope_does_nothing(muster: Muster, domain: str, owner: Person, client: str):
    """Least privilege: rights are added, never assumed."""
    token = pat(muster, owner)
    assert 403 == status(muster, "GET", f"/domains/{domain}", token)
    assert 404 == status(muster, "GET", f"/{domain}/clients/{client}", token)
    assert 0 == muster.get(f"/{domain}/clients", token)["total"]
    assert 0 == muster.get("/domains", token)["total"]
    assert 403 == status(muster, "GET", "/users/profile", token)
    assert 403 == status(muster, "POST", "/domains", token, {"name": "x", "alias": "x-of-a-token"})
    assert 403 == status(muster, "PATCH", f"/users/{owner.id}", token, {"first_name": "x"})
    body = {"old_secret": PASSWORD, "new_secret": "something else"}
    assert 403 == status(muster, "PATCH", "/users/secret", token, body)


def test_a_scope_is_kept_to_its_domain_kind_operation_and_entity(
    muster: Muster, domain: str, owner: Person, client: str
):
    """Everything else is closed, though the user may do it."""
    elsewhere = muster.domain(owner, f"else-{domain[:18]}")
    other = muster.make(f"/{domain}/clients", owner, {"name": "other"})["id"]
    channel = muster.make(f"/{domain}/channels", owner, {"name": "c"})["id"]
    entry = {"optional_domain_id": domain, "entity_type": "clients", "operation": "read", "entity_id": client}
    token = pat(muster, owner, entry)
    assert 200 == status(muster, "GET", f"/{domain}/clients/{client}", token)
    assert [client] == [one["id"] for one in muster.get(f"/{domain}/clients", token)["clients"]]
    assert 404 == status(muster, "GET", f"/{domain}/clients/{other}", token)
    assert 404 == status(muster, "GET", f"/{domain}/channels/{channel}", token)
    assert 403 == status(muster, "PATCH", f"/{domain}/clients/{client}", token, {"name": "x"})
    assert 403 == status(muster, "POST", f"/{domain}/clients", token, {"name": "x"})
    assert 0 == muster.get(f"/{elsewhere}/clients", token)["total"]
    create = pat(
        muster, owner, {"optional_domain_id": domain, "entity_type": "clients", "operation": "create"}
    )
    assert 201 == status(muster, "POST", f"/{domain}/clients", create, {"name": "made by a token"})
    assert 403 == status(muster, "POST", f"/{elsewhere}/clients", create, {"name": "x"})


def test_a_provisioning_token_provisions_and_repeats(muster: Muster, domain: str, owner: Person):
    """The right to create clients and channels is all it takes; the repeated call gets the same answer."""
    kinds = ("clients", "channels")
    entries = [{"optional_domain_id": domain, "entity_type": k, "operation": "create"} for k in kinds]
    token, body = pat(muster, owner, *entries), {"external_id": "gw", "external_key": "k"}
    answers = [muster.ask("POST", f"/{domain}/mapping", token, json=body) for _ in range(2)]
    assert [201, 201] == [one.status_code for one in answers]
    assert answers[0].content == answers[1].content
    half = pat(muster, owner, entries[0])
    assert 403 == status(muster, "POST", f"/{domain}/mapping", half, body)


def test_upstreams_first_form_of_a_scope_is_understood(
    muster: Muster, domain: str, owner: Person, client: str
):
    """platform_entity_type, optional_domain_entity_type and entity_ids."""
    made = muster.make("/pats", owner, {"name": "p", "duration": "1h"})
    entry = {
        "platform_entity_type": "domains",
        "optional_domain_id": domain,
        "optional_domain_entity_type": "clients",
        "operation": "read",
        "entity_ids": [client],
    }
    path, token = f"/pats/{made['id']}/scope", f"Bearer {made['secret']}"
    assert 200 == status(muster, "PATCH", f"{path}/add", owner, entry)
    assert 200 == status(muster, "GET", f"/{domain}/clients/{client}", token)
    ids = {"scopes_id": [muster.get(f"/pats/{made['id']}/scopes", owner)["scopes"][0]["id"]]}
    assert 200 == status(muster, "PATCH", f"{path}/remove", owner, ids)
    assert 404 == status(muster, "GET", f"/{domain}/clients/{client}", token)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"entity_type": "dragons", "operation": "read"}, "invalid entity type"),
        ({"entity_type": "clients", "operation": "fly"}, "invalid operation"),
        ({"scopes": []}, "empty list provided"),
    ],
)
def test_a_scope_we_do_not_know_is_refused(muster: Muster, owner: Person, change: object, error: str):
    """Rather than kept and never meant."""
    made = muster.make("/pats", owner, {"name": "p"})
    answer = muster.ask("PATCH", f"/pats/{made['id']}/scope/add", owner, json=change)
    assert (400, error) == (answer.status_code, answer.json()["error"])


def test_a_token_ends_when_it_is_reset_revoked_or_deleted(muster: Muster, owner: Person):
    """The old secret at once."""
    scope = [{"entity_type": "users", "operation": "read"}]
    made = muster.make("/pats", owner, {"name": "p", "duration": "1h", "scope": scope})
    path, first = f"/pats/{made['id']}", f"Bearer {made['secret']}"
    assert 200 == status(muster, "GET", "/users/profile", first)
    fresh = muster.ask("PATCH", f"{path}/secret/reset", owner, json={"duration": "1h"}).json()
    second = f"Bearer {fresh['secret']}"
    assert [401, 200] == [status(muster, "GET", "/users/profile", token) for token in (first, second)]
    assert 204 == status(muster, "PATCH", f"{path}/secret/revoke", owner)
    assert 401 == status(muster, "GET", "/users/profile", second)
    assert muster.get(path, owner)["revoked"]
    assert 204 == status(muster, "DELETE", path, owner)
    assert 404 == status(muster, "GET", path, owner)


def test_keys_are_not_managed_with_keys(muster: Muster, owner: Person, stranger: Person):
    """Whoever finds one cannot make another, nor see others'."""
    key = f"Bearer {muster.make('/keys', owner, {'type': 3})['value']}"
    for token in (pat(muster, owner, {"entity_type": "users", "operation": "*"}), key):
        for method, path, body in (
            ("POST", "/pats", {"name": "x"}),
            ("GET", "/pats", None),
            ("POST", "/keys", {"type": 3}),
            ("POST", "/keys", {"type": 0}),
        ):
            answer = muster.ask(method, path, token, **({} if body is None else {"json": body}))
            expected = {"error": "", "message": "unsupported content token type"}
            assert (401, expected) == (answer.status_code, answer.json()), (method, path)
    made = muster.make("/pats", owner, {"name": "mine"})
    assert 404 == status(muster, "GET", f"/pats/{made['id']}", stranger)
    assert 404 == status(muster, "DELETE", f"/pats/{made['id']}", stranger)


def test_an_api_key_is_as_good_as_its_user_until_it_is_deleted(muster: Muster, domain: str, owner: Person):
    """Type 3; duration 0 is for ever."""
    made = muster.make("/keys", owner, {"type": 3, "duration": 0})
    assert "expires_at" not in made
    assert 200 == status(muster, "GET", f"/{domain}/clients", f"Bearer {made['value']}")
    assert 204 == status(muster, "DELETE", f"/keys/{made['id']}", owner)
    assert 401 == status(muster, "GET", f"/{domain}/clients", f"Bearer {made['value']}")


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/keys", {"type": 1}, "invalid api key type"),
        ("/keys", {"type": 3, "duration": -1}, "invalid duration"),
        ("/keys", {"type": 3, "duration": 10**15}, "invalid duration"),
        ("/pats", {}, "missing identity name"),
        ("/pats", {"name": "x", "duration": "a week"}, "invalid duration"),
        ("/pats", {"name": "x", "duration": "0s"}, "invalid duration"),
        ("/pats", {"name": "x", "duration": "-1h"}, "invalid duration"),
    ],
)
def test_a_key_says_what_it_lacks(muster: Muster, owner: Person, path: str, body: object, error: str):
    """Type and lifetime."""
    answer = muster.ask("POST", path, owner, json=body)
    assert (400, error) == (answer.status_code, answer.json()["error"])
