"""Users, tokens and passwords (spec B.1)."""

import asyncio
import base64
import json
import re
from email import message_from_string

import pytest

from muster.assembly.mail import mailing
from tests.dialects.mainflux.conftest import NewHouse
from tests.dialects.mainflux.house import PASSWORD, House, unknown
from tests.dialects.mainflux.mailbox import Mailbox

pytestmark = pytest.mark.anyio


def claims(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def named(house: House, body: dict) -> dict:
    """Give the body with the email of the test's own user of that name."""
    email = body.get("email")
    if not isinstance(email, str) or "@" not in email:
        return body
    name, _, host = email.partition("@")
    return {**body, "email": f"{house.own(name)}@{host}"}


async def test_a_user_registers_and_gets_a_token(house: House):
    """201 with Location and no body, then 201 with a token of ten hours that names the user by email."""
    body = {"email": f"{house.own('John.Doe')}@email.com", "password": PASSWORD, "metadata": {"a": 1}}
    made = await house.seen("createUser", 201, "POST", "/users", json=body)
    assert b"" == made.content
    login = {"email": house.email("john.doe"), "password": PASSWORD}
    answer = await house.seen("createToken", 201, "POST", "/tokens", json=login)
    said = claims(answer.json()["token"])
    assert ("mainflux.auth", house.email("john.doe"), 0) == (said["iss"], said["sub"], said["type"])
    assert made.headers["location"] == f"/users/{said['issuer_id']}"
    assert 36_000 == said["exp"] - said["iat"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "john@email.com", "password": PASSWORD}, 409),
        ({"email": "JOHN@email.com", "password": PASSWORD}, 409),
        ({"email": "jane@email.com", "password": "1234567"}, 400),
        ({"email": "jane@email.com"}, 400),
        ({"email": "jane", "password": PASSWORD}, 400),
        ({"password": PASSWORD}, 400),
        ({"email": 1, "password": PASSWORD}, 400),
    ],
)
async def test_a_wrong_registration_changes_nothing(house: House, body: dict, status: int):
    """A taken or bad email, a short or missing password."""
    await house.user("john")
    answer = await house.call("POST", "/users", json=named(house, body))
    assert status == answer.status_code
    assert ["error"] == list(answer.json())


async def test_without_self_registration_only_an_admin_makes_users(new_house: NewHouse):
    """In this service nobody means 403, not 401 (spec B.0)."""
    house = await new_house(MUSTER_SELF_REGISTER="false")
    answer = await house.call("POST", "/users", json={"email": "a@b.c", "password": PASSWORD})
    assert 403 == answer.status_code


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "john@email.com", "password": "wrong password"}, 403),
        ({"email": "nobody@email.com", "password": PASSWORD}, 403),
        ({"email": "john@email.com"}, 400),
        ({"password": PASSWORD}, 400),
    ],
)
async def test_a_wrong_login_gets_no_token(house: House, body: dict, status: int):
    """Wrong password and unknown user look the same."""
    await house.user("john")
    answer = await house.call("POST", "/tokens", json=named(house, body))
    assert status == answer.status_code
    assert "token" not in answer.text


async def test_guessing_passwords_is_slowed_down(house: House):
    """After ten wrong ones 429 says when to come back, even to the right one."""
    await house.user("john")
    body = {"email": house.email(), "password": "wrong password"}
    statuses = [(await house.call("POST", "/tokens", json=body)).status_code for _ in range(11)]
    assert [403] * 10 + [429] == statuses
    answer = await house.call("POST", "/tokens", json={**body, "password": PASSWORD})
    assert 429 == answer.status_code
    assert 1 <= int(answer.headers["retry-after"]) <= 60


async def test_users_see_themselves(house: House):
    """By profile, by id and in the list; metadata is replaced by PUT, without a content type too."""
    token = await house.user()
    me = await house.seen("getProfile", 200, "GET", "/users/profile", token)
    change = json.dumps({"metadata": {"foo": "bar"}})
    await house.seen("updateUser", 200, "PUT", "/users", token, content=change)
    await house.seen("getUser", 200, "GET", f"/users/{me.json()['id']}", token)
    await house.seen("listUsers", 200, "GET", "/users", token)


async def test_users_do_not_see_each_other(house: House):
    """A foreign user looks like one that does not exist, and the list holds oneself alone."""
    john, jane = await house.user("john"), await house.user("jane")
    hers = (await house.call("GET", "/users/profile", jane)).json()["id"]
    foreign = await house.call("GET", f"/users/{hers}", john)
    missing = await house.call("GET", f"/users/{unknown()}", john)
    assert (400, 400) == (foreign.status_code, missing.status_code)
    assert foreign.content == missing.content
    listed = (await house.call("GET", "/users?limit=100", john)).json()
    assert [house.email("john")] == [user["email"] for user in listed["users"]]
    assert 0 == (await house.call("GET", "/users?email=jane", john)).json()["total"]


async def test_an_admin_lists_all_users(house: House):
    """And finds one by a part of the email or the metadata."""
    admin, john = await house.admin(), await house.user("john")
    await house.call("PUT", "/users", john, json={"metadata": {"house": house.own("")}})
    everyone = (await house.call("GET", "/users?limit=100", admin)).json()
    assert everyone["total"] > 1
    for query in ({"email": house.email("john")}, {"metadata": f'{{"house":"{house.own("")}"}}'}):
        found = (await house.call("GET", "/users", admin, params=query)).json()
        assert [house.email("john")] == [user["email"] for user in found["users"]]


async def test_a_new_password_ends_all_tokens(house: House):
    """201 and an empty body; the old password and the old token are good for nothing any more."""
    token = await house.user()
    body = {"old_password": PASSWORD, "password": "another password"}
    await house.seen("updatePassword", 201, "PATCH", "/password", token, json=body)
    assert 403 == (await house.call("GET", "/users/profile", token)).status_code
    old = await house.call("POST", "/tokens", json={"email": house.email(), "password": PASSWORD})
    assert 403 == old.status_code
    assert await house.login("john", "another password")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"old_password": "wrong password", "password": "another password"}, 403),
        ({"password": "another password"}, 403),
        ({"old_password": PASSWORD, "password": "short"}, 400),
    ],
)
async def test_a_password_is_changed_by_who_knows_it(house: House, body: dict, status: int):
    """A token alone is not enough."""
    token = await house.user()
    assert status == (await house.call("PATCH", "/password", token, json=body)).status_code
    assert 200 == (await house.call("GET", "/users/profile", token)).status_code


async def test_a_reset_that_cannot_be_mailed_is_not_promised(house: House):
    """Nobody is told that an email is on its way when none can be."""
    await house.user()
    body, path = {"email": house.email()}, "/password/reset-request"
    await house.seen("requestPasswordReset", 503, "POST", path, json=body, port=8180)
    assert 400 == (await house.call("POST", path, json={"email": "john"}, port=8180)).status_code


async def test_a_lost_password_is_set_anew_by_mail(new_house: NewHouse):
    """The token that is mailed works once; whether there is such a user only the mailbox knows."""
    async with Mailbox() as mailbox:
        house = await new_house(MUSTER_MAIL_URL=mailbox.url, MUSTER_MAIL_FROM="muster@example.com")
        delivering = asyncio.create_task(mailing(house.parts))
        await house.user()
        for email in (house.email("nobody"), house.email("john")):
            asked = await house.call("POST", "/password/reset-request", json={"email": email}, port=8180)
            said = (asked.status_code, asked.json())
            assert (201, {"msg": "Email with reset link is sent"}) == said
        mail = message_from_string(await asyncio.wait_for(mailbox.mails.get(), 20))
        assert house.email("john") == mail["To"]
        text = mail.get_payload(decode=True).decode()
        found = re.search(r'"token": "([^"]+)"', text)
        assert found is not None
        body = {"token": found[1], "password": "another password", "confirm_password": "another password"}
        assert 201 == (await house.call("PUT", "/password/reset", json=body)).status_code
        assert 401 == (await house.call("PUT", "/password/reset", json=body)).status_code
        assert await house.login("john", "another password")
        assert mailbox.mails.empty()
        delivering.cancel()


async def recovery(house: House, name: str = "john", **changes: object) -> str:
    """Make the token that an email would carry."""
    token = await house.login(name)
    return house.parts.tokens.mint({**claims(token), "type": 2, **changes})


async def test_a_recovery_token_sets_a_password_once(house: House):
    """And it opens nothing else."""
    await house.user()
    token = await recovery(house)
    body = {"token": token, "password": "another password", "confirm_password": "another password"}
    assert 401 == (await house.call("GET", "/things", token)).status_code
    other = {**body, "confirm_password": "a third password"}
    assert 400 == (await house.call("PUT", "/password/reset", json=other, port=8180)).status_code
    await house.seen("resetPassword", 201, "PUT", "/password/reset", json=body, port=8180)
    assert 403 == (await house.call("PUT", "/password/reset", json=body, port=8180)).status_code
    assert await house.login("john", "another password")


@pytest.mark.parametrize("changes", [{"type": 0}, {"type": 1}, {"iss": "supermq.auth", "type": 1}])
async def test_tokens_of_another_kind_recover_nothing(house: House, changes: dict):
    """Not a login, not what refreshes one in the other dialect."""
    await house.user()
    token = await recovery(house, **changes)
    body = {"token": token, "password": "another password", "confirm_password": "another password"}
    assert 403 == (await house.call("PUT", "/password/reset", json=body, port=8180)).status_code
    assert await house.login()


@pytest.mark.parametrize("token", [None, "nonsense", "Bearer nonsense", "Thing nonsense", "a.b.c"])
@pytest.mark.parametrize("path", ["/users/profile", "/users", "/users/x"])
async def test_nobody_is_refused_as_this_service_does(house: House, path: str, token: str | None):
    """403, where things would say 401 (spec B.0)."""
    answer = await house.call("GET", path, token, port=8180)
    assert 403 == answer.status_code
    assert {"error": "missing or invalid credentials provided"} == answer.json()
