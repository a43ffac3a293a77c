"""What is wrong with a request is said in upstream's words and shape (spec A.0), and nothing has changed."""

import json
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.dialects.magistrala.harness import Muster, Person

UNKNOWN = "0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b"
REQUEST = "something went wrong with the request"
JSON = {"Content-Type": "application/json"}


def refused(muster: Muster, status: int, error: str | None, message: str, *request: object, **more: object):
    """The answer has this status and body; None for an error whose text is not upstream's."""
    answer = muster.ask(*request, **more)
    body = answer.json()
    assert ["error", "message"] == sorted(body)
    if error is None:
        assert body["error"]
        body["error"] = None
    assert (status, {"error": error, "message": message}) == (answer.status_code, body)


# --- who asks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", "Basic dTpw", "Thing secret", "Client secret"])
def test_without_a_token_of_a_user_the_answer_says_so(muster: Muster, domain: str, header: str | None):
    """Absent, or not after `Bearer`."""
    message = "missing or invalid bearer user token"
    refused(muster, 401, "", message, "GET", f"/{domain}/clients", header)


@pytest.mark.parametrize("token", ["x", "a.b.c", "pat_unknown", "mk_unknown"])
def test_a_token_that_is_not_good_is_refused(muster: Muster, domain: str, token: str):
    """Present, but nothing we gave out."""
    message = "failed to perform authentication over the entity"
    refused(muster, 401, "", message, "GET", f"/{domain}/clients", f"Bearer {token}")


def test_a_refresh_token_opens_no_door_and_an_access_token_is_not_refreshed(
    muster: Muster, domain: str, owner: Person
):
    """Each kind is good for one thing."""
    assert 401 == muster.ask("GET", f"/{domain}/clients", f"Bearer {owner.refresh}").status_code
    assert 401 == muster.ask("POST", "/users/tokens/refresh", owner, json={}).status_code


def test_a_wrong_password_and_an_unknown_user_look_the_same(muster: Muster, owner: Person):
    """In upstream's words for a bad login."""
    for name in (owner.username, "nobody-is-called-so"):
        body = {"username": name, "password": "wrong-password"}
        refused(muster, 401, "", "invalid user id or secret", "POST", "/users/tokens/issue", json=body)


def test_users_log_in_by_name_and_by_email(muster: Muster, owner: Person):
    """Spec I, row 7; the email whatever the case, the name not."""
    for name in (owner.username, owner.email, owner.email.upper()):
        body = {"username": name, "password": "12345678"}
        assert 201 == muster.ask("POST", "/users/tokens/issue", json=body).status_code, name


def test_a_foreign_domain_looks_like_an_unknown_one(muster: Muster, domain: str, stranger: Person):
    """403 for both: who is not a member does not learn what exists."""
    message = "failed to perform authorization over the domain"
    for tenant in (domain, UNKNOWN, "no uuid"):
        refused(muster, 403, "", message, "GET", f"/{tenant}/clients", stranger)
        refused(muster, 403, "", message, "POST", f"/{tenant}/channels", stranger, json={"name": "x"})


def test_what_does_not_exist_is_404(muster: Muster, domain: str, owner: Person):
    """The documented status, where upstream's code says 403 (docs/divergences.md)."""
    for path in ("clients", "channels", "groups", "clients/configs"):
        refused(muster, 404, "", "entity not found", "GET", f"/{domain}/{path}/{UNKNOWN}", owner)


# --- bodies --------------------------------------------------------------------------------------------

CREATE = ("clients", "channels", "groups", "clients/configs", "clients/bulk", "channels/connect")


@pytest.mark.parametrize("path", CREATE)
def test_a_body_needs_a_json_content_type(muster: Muster, domain: str, owner: Person, path: str):
    """The header must contain application/json; `; charset=utf-8` is fine."""
    path = f"/{domain}/{path}"
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/xml"}):
        refused(
            muster,
            415,
            "unsupported content type",
            REQUEST,
            "POST",
            path,
            owner,
            headers=headers,
            content="{}",
        )
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = muster.ask("POST", path, owner, headers=headers, content='{"name": 1}')
    assert 400 == answer.status_code


def test_provisioning_wants_exactly_the_json_content_type(muster: Muster, domain: str, owner: Person):
    """As upstream's provision service compares (spec A.0)."""
    body = '{"external_id":"a","external_key":"b"}'
    for wrong in ("application/json; charset=utf-8", "text/json"):
        headers = {"Content-Type": wrong}
        answer = muster.ask("POST", f"/{domain}/mapping", owner, headers=headers, content=body)
        assert 415 == answer.status_code
    assert 201 == muster.ask("POST", f"/{domain}/mapping", owner, headers=JSON, content=body).status_code


def test_the_seeds_connect_calls_need_no_content_type(muster: Muster, domain: str, owner: Person):
    """curl -d says it is a form; the body counts (spec I, rows 1 and 3)."""
    channel = muster.make(f"/{domain}/channels", owner, {"name": "c"})["id"]
    client = muster.make(f"/{domain}/clients", owner, {"name": "d"})["id"]
    body = json.dumps({"client_ids": [client], "types": ["publish"]})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/{domain}/channels/{channel}"
    connected = muster.ask("PUT", f"{path}/connect", owner, headers=headers, content=body)
    assert (201, b"") == (connected.status_code, connected.content)
    disconnected = muster.ask("DELETE", f"{path}/disconnect", owner, headers=headers, content=body)
    assert (204, b"") == (disconnected.status_code, disconnected.content)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        '{"name": 1}',
        '{"name": "a\\u0000b"}',
        '{"metadata": []}',
        '{"metadata": {"a": 123456789012345678901234567890}}',
        '{"tags": "a"}',
        "{" + '"metadata":{"a":' * 200 + "1" + "}" * 200 + "}",
    ],
)
@pytest.mark.parametrize("path", ["clients", "channels", "groups"])
def test_a_body_that_cannot_be_understood_is_400(
    muster: Muster, domain: str, owner: Person, path: str, body: str
):
    """With the reason; an empty one counts as malformed. Nothing is created."""
    refused(muster, 400, None, REQUEST, "POST", f"/{domain}/{path}", owner, headers=JSON, content=body)
    assert 0 == muster.get(f"/{domain}/{path}", owner)["total"]


def test_unknown_fields_are_ignored_and_of_equal_names_the_last_holds(
    muster: Muster, domain: str, owner: Person
):
    """As upstream's decoder does."""
    content = '{"name":"a","no such field":{},"name":"b"}'
    made = muster.ask("POST", f"/{domain}/clients", owner, headers=JSON, content=content)
    assert (201, "b") == (made.status_code, made.json()["name"])


def test_odd_text_comes_back_as_it_was_sent(muster: Muster, domain: str, owner: Person):
    """Any letters: emoji, combining marks, right to left, what looks like SQL or a format."""
    for name in ("🚀", "e\u0301", "\u202eabc", "'; DROP TABLE devices; --", "%s %d {0}"):
        metadata = {name: f"{name}\ta\nb\x7f"}
        made = muster.make(f"/{domain}/clients", owner, {"name": name, "metadata": metadata})
        found = muster.get(f"/{domain}/clients/{made['id']}", owner)
        assert (name, metadata) == (found["name"], found["metadata"])


CONTROLS = ["a\tb", "a\nb", "\x1b[2J", "a\x7f", "\x9b2J"]


@pytest.mark.parametrize("sent", CONTROLS)
@pytest.mark.parametrize("path", ["clients", "channels", "groups", "mapping", "domains"])
def test_names_hold_no_control_characters(muster: Muster, domain: str, owner: Person, path: str, sent: str):
    """In a terminal, a log or a CSV file they are no letters but orders (docs/divergences.md)."""
    more = {"external_id": "box", "external_key": "k"} if path == "mapping" else {}
    more |= {"alias": f"d{uuid4().hex}"} if path == "domains" else {}
    where = "/domains" if path == "domains" else f"/{domain}/{path}"
    said = ("a name may hold no control characters", REQUEST)
    refused(muster, 400, *said, "POST", where, owner, json={"name": sent, **more})


@pytest.mark.parametrize("sent", CONTROLS)
def test_an_alias_holds_no_control_characters(muster: Muster, owner: Person, sent: str):
    """It stands in topics and paths."""
    body = {"name": "plant", "alias": sent}
    refused(muster, 400, "invalid alias", REQUEST, "POST", "/domains", owner, json=body)


@pytest.mark.parametrize("sent", CONTROLS)
@pytest.mark.parametrize("field", ["username", "first_name", "last_name"])
def test_users_names_hold_no_control_characters(muster: Muster, sent: str, field: str):
    """At registration; a change of name goes the same way."""
    word = uuid4().hex
    names = {"username": word, "first_name": "a", "last_name": "b", field: sent}
    credentials = {"username": names.pop("username"), "secret": "12345678"}
    body = {**names, "email": f"{word}@example.com", "credentials": credentials}
    said = ("a name may hold no control characters", REQUEST)
    refused(muster, 400, *said, "POST", "/users", None, json=body)


@pytest.mark.parametrize(
    ("path", "field", "body"),
    [
        ("clients", "identity", {"credentials": {"identity": "a\tb"}}),
        ("channels", "route", {"route": "a\x7f"}),
        ("mapping", "external_id", {"external_id": "a\nb", "external_key": "k"}),
        ("mapping?dry_run=true", "external_id", {"external_id": "a\nb", "external_key": "k"}),
    ],
)
def test_chosen_ids_hold_no_control_characters(
    muster: Muster, domain: str, owner: Person, path: str, field: str, body: dict
):
    """What a device shows and people copy is made of letters."""
    said = (f"{field} may hold no control characters", REQUEST)
    refused(muster, 400, *said, "POST", f"/{domain}/{path}", owner, json=body)


@pytest.mark.parametrize("path", ["clients", "channels", "groups"])
def test_names_have_at_most_1024_bytes(muster: Muster, domain: str, owner: Person, path: str):
    """Bytes, not characters."""
    assert 201 == muster.ask("POST", f"/{domain}/{path}", owner, json={"name": "é" * 512}).status_code
    body = {"name": "é" * 512 + "x"}
    refused(muster, 400, "invalid name size", REQUEST, "POST", f"/{domain}/{path}", owner, json=body)


@pytest.mark.parametrize(
    ("path", "field", "body"),
    [
        ("clients", "identity", {"credentials": {"identity": "{}"}}),
        ("channels", "route", {"route": "{}"}),
    ],
)
def test_what_is_looked_up_has_at_most_1024_bytes(
    muster: Muster, domain: str, owner: Person, path: str, field: str, body: dict[str, object]
):
    """The same on every database, and the largest is found again."""
    sized = {n: json.loads(json.dumps(body).replace("{}", "y" * n)) for n in (1024, 1025)}
    made = muster.ask("POST", f"/{domain}/{path}", owner, json=sized[1024])
    assert 201 == made.status_code, made.text
    assert 200 == muster.ask("GET", f"/{domain}/{path}/{made.json()['id']}", owner).status_code
    answer = muster.ask("POST", f"/{domain}/{path}", owner, json=sized[1025])
    assert (400, f"{field} has at most 1024 bytes") == (answer.status_code, answer.json()["error"])


@pytest.mark.parametrize("dots", [".", ".."])
def test_what_no_path_can_name_is_refused(muster: Muster, domain: str, owner: Person, dots: str):
    """Clients take such segments out of a path (RFC 3986, 5.2.4): nobody could fetch or delete it."""
    mapping = {"external_id": dots, "external_key": "k"}
    for path, body in (("mapping", mapping), ("clients/configs", mapping), ("channels", {"route": dots})):
        assert 400 == muster.ask("POST", f"/{domain}/{path}", owner, json=body).status_code, path


def test_metadata_has_a_limit(muster: Muster, domain: str, owner: Person):
    """The setting max_metadata_bytes, at creation and at change."""
    large = {"a": "x" * 70_000}
    refused(
        muster, 400, None, REQUEST, "POST", f"/{domain}/clients", owner, json={"name": "x", "metadata": large}
    )
    client = muster.make(f"/{domain}/clients", owner, {"name": "x"})["id"]
    for path in (f"/{domain}/clients/{client}", f"/domains/{domain}"):
        refused(muster, 400, None, REQUEST, "PATCH", path, owner, json={"metadata": large})


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("clients", {"id": "no uuid"}, "invalid id format provided"),
        ("clients", {"id": "0B0B0B0B-0B0B-4B0B-8B0B-0B0B0B0B0B0B"}, "invalid id format provided"),
        ("clients", {"status": "sleeping"}, "invalid status"),
        ("channels", {"id": " "}, "invalid id format provided"),
        ("channels", {"status": "deleted"}, "invalid status"),
        ("clients/bulk", [], "empty list provided"),
        ("channels/bulk", [], "empty list provided"),
        ("groups", {}, "invalid name size"),
        ("channels/connect", {"client_ids": ["x"], "types": ["publish"]}, "missing channel id"),
        ("channels/connect", {"channel_ids": ["x"], "types": ["publish"]}, "missing cient id"),
        ("channels/connect", {"channel_ids": ["x"], "client_ids": ["x"]}, "missing connection type"),
        ("clients/configs", {}, "missing entity id"),
        ("clients/configs", {"external_id": "x"}, "missing or invalid bearer entity key"),
        ("clients/configs", {"external_id": "x", "external_key": "y"}, "empty list provided"),
        ("mapping", {"external_key": "y"}, "missing entity id"),
        ("mapping", {"external_id": "x"}, "missing or invalid bearer entity key"),
        ("mapping", {"external_id": "x" * 1025, "external_key": "y"}, None),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    muster: Muster, domain: str, owner: Person, path: str, body: object, error: str | None
):
    """In the texts of spec A.0 that clients see."""
    refused(muster, 400, error, REQUEST, "POST", f"/{domain}/{path}", owner, json=body)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"first_name": ""}, "missing first name"),
        ({"last_name": None}, "missing last name"),
        ({"email": ""}, "missing email"),
        ({"email": "no email"}, "invalid email"),
        ({"credentials": {"secret": "12345678"}}, "missing username"),
        ({"credentials": {"username": "a@b.c", "secret": "12345678"}}, "invalid username"),
        ({"credentials": {"username": "newbie"}}, "missing password"),
        (
            {"credentials": {"username": "newbie", "secret": "1234567"}},
            "password does not meet the requirements",
        ),
        ({"role": "king"}, "invalid client role"),
        ({"status": "deleted"}, "invalid status"),
        ({"profile_picture": "javascript:alert(1)"}, "invalid profile picture url"),
    ],
)
def test_registering_says_what_is_missing(muster: Muster, change: dict[str, object], error: str):
    """In the order and words of spec A.0."""
    body = {
        "first_name": "N",
        "last_name": "B",
        "email": "newbie@example.com",
        "credentials": {"username": "newbie", "secret": "12345678"},
        **change,
    }
    refused(muster, 400, error, REQUEST, "POST", "/users", json=body)


def test_nobody_registers_as_an_admin(muster: Muster, owner: Person):
    """Only admins make admins."""
    body = {
        "first_name": "N",
        "last_name": "B",
        "email": "boss@example.com",
        "credentials": {"username": "boss", "secret": "12345678"},
        "role": "admin",
    }
    assert 401 == muster.ask("POST", "/users", json=body).status_code
    assert 403 == muster.ask("POST", "/users", owner, json=body).status_code
    assert 201 == muster.ask("POST", "/users", muster.admin(), json=body).status_code


# --- paths and methods ---------------------------------------------------------------------------------


def test_a_method_that_is_not_there_is_405_with_a_true_allow(muster: Muster, domain: str, owner: Person):
    """RFC 9110, 15.5.6."""
    answer = muster.ask("PUT", f"/{domain}/clients", owner, json={})
    assert 405 == answer.status_code
    assert {"GET", "HEAD", "OPTIONS", "POST"} == set(answer.headers["allow"].split(", "))


def test_a_path_that_is_not_there_is_404(muster: Muster, domain: str, owner: Person):
    """In the shape of every error."""
    refused(muster, 404, "", "entity not found", "GET", f"/{domain}/no/such/path", owner)


@pytest.mark.parametrize("segment", ["%00", "%ff", "..%2f..%2fetc", "a%2Fb", "x" * 3000, "%F0%9F%9A%80"])
def test_odd_segments_of_a_path_are_refused_or_not_found(
    muster: Muster, domain: str, owner: Person, segment: str
):
    """Never a failure of ours."""
    answer = muster.ask("GET", f"/{domain}/clients/{segment}", owner)
    assert answer.status_code in (400, 404)
    assert ["error", "message"] == sorted(answer.json())


@pytest.mark.parametrize("segment", ["%00", "%ff"])
def test_a_path_that_is_no_text_is_refused_with_words(
    muster: Muster, domain: str, owner: Person, segment: str
):
    """As any other value that cannot be understood."""
    words = ("invalid path", "something went wrong with the request")
    refused(muster, 400, *words, "GET", f"/{domain}/clients/{segment}", owner)


# --- duplicates ----------------------------------------------------------------------------------------


def test_a_taken_id_alias_username_or_secret_is_409(
    muster: Muster, domain: str, owner: Person, person: Callable[[], Person]
):
    """The documented status, where upstream's code says 422 (docs/divergences.md)."""
    message = "entity already exists"
    body = {"id": UNKNOWN, "name": "a", "credentials": {"secret": "s"}}
    muster.make(f"/{domain}/clients", owner, body)
    taken = [
        (f"/{domain}/clients", {"id": UNKNOWN}),
        (f"/{domain}/clients", {"credentials": {"secret": "s"}}),
        ("/domains", {"name": "x", "alias": muster.get(f"/domains/{domain}", owner)["alias"]}),
    ]
    for path, again in taken:
        answer = muster.ask("POST", path, owner, json=again)
        assert (409, message) == (answer.status_code, answer.json()["message"]), path
    other = person()
    new = {
        "first_name": "a",
        "last_name": "b",
        "email": other.email.upper(),
        "credentials": {"username": "fresh-name", "secret": "12345678"},
    }
    assert 409 == muster.ask("POST", "/users", json=new).status_code
    new |= {"email": "fresh@example.com", "credentials": {"username": other.username, "secret": "12345678"}}
    assert 409 == muster.ask("POST", "/users", json=new).status_code


def test_a_taken_name_of_a_role_is_said_in_words_of_the_request(muster: Muster, domain: str, owner: Person):
    """Not in those of the database."""
    muster.make(f"/domains/{domain}/roles", owner, {"role_name": "r", "optional_actions": ["read"]})
    answer = muster.ask("POST", f"/domains/{domain}/roles", owner, json={"role_name": "r"})
    assert (409, "a role with this name exists already") == (answer.status_code, answer.json()["error"])


def test_the_location_of_a_channel_is_a_path_whatever_its_id(muster: Muster, domain: str, owner: Person):
    """Percent-encoded where a path needs it, so that it can be followed as it is."""
    for id_, spelled in (("hall 1:a", "hall%201:a"), ("grün?#%", "gr%C3%BCn%3F%23%25")):
        answer = muster.ask("POST", f"/{domain}/channels", owner, json={"id": id_})
        assert f"/channels/{spelled}" == answer.headers["location"]
        assert id_ == muster.get(f"/{domain}{answer.headers['location']}", owner)["id"]


def test_names_need_not_be_unique(muster: Muster, domain: str, owner: Person):
    """As upstream since April 2025 (spec 0)."""
    for path in ("clients", "channels", "groups"):
        for _ in range(2):
            muster.make(f"/{domain}/{path}", owner, {"name": "same"})
        assert 2 == muster.get(f"/{domain}/{path}?name=same", owner)["total"]


def test_a_bulk_request_creates_all_or_nothing(muster: Muster, domain: str, owner: Person):
    """One that cannot be created takes all others with it (seed; spec I, row 22)."""
    for path in ("clients", "channels"):
        several = [{"name": "a"}, {"id": UNKNOWN, "name": "b"}, {"id": UNKNOWN, "name": "c"}]
        assert 409 == muster.ask("POST", f"/{domain}/{path}/bulk", owner, json=several).status_code
        assert 0 == muster.get(f"/{domain}/{path}", owner)["total"]
        several = [{"name": "a"}, {"name": "x" * 1025}]
        assert 400 == muster.ask("POST", f"/{domain}/{path}/bulk", owner, json=several).status_code
        assert 0 == muster.get(f"/{domain}/{path}", owner)["total"]


def test_bulk_takes_thousands_in_their_order(muster: Muster, domain: str, owner: Person):
    """10,000 in one request; the answer has them as they were asked for."""
    names = [f"c{n}" for n in range(10_000)]
    made = muster.make(f"/{domain}/channels/bulk", owner, [{"name": name} for name in names])
    assert (0, 10_000, names) == (made["offset"], made["total"], [c["name"] for c in made["channels"]])
    assert "limit" not in made
    assert 10_000 == muster.get(f"/{domain}/channels?limit=1", owner)["total"]
