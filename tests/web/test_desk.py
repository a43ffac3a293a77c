"""A request is one transaction; with an Idempotency-Key it happens once."""

import asyncio
from dataclasses import replace

import pytest

from muster.core.model import ApiKey, KeyId, StoredReply, User
from muster.core.ports import ANYWHERE, Tx
from muster.web import idempotency
from tests.conftest import TestClock
from tests.web.toys import Door

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "k-1"}


async def post(door: Door, token: str, name: str = "a", key: str | None = "k-1", path: str = "/t/notes"):
    headers = {} if key is None else {"Idempotency-Key": key}
    return await door("POST", path, f"Bearer {token}", json={"name": name}, headers=headers)


async def total(door: Door, token: str) -> int:
    answer = await door("GET", "/t/notes?limit=100", f"Bearer {token}")
    return answer.json()["total"]


def same(one, other) -> bool:
    def seen(answer):
        return answer.status_code, answer.content, answer.headers["location"], answer.headers["content-type"]

    return seen(one) == seen(other)


async def test_a_use_case_runs_for_whom_the_token_names(door: Door):
    """Its effect is there, and the log says who it was and in which tenant."""
    user = await door.user()
    answer = await post(door, door.token(user), key=None)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/notes/{answer.json()['id']}"
    assert await total(door, door.token(user)) == 1
    line = door.lines()[0]
    assert (line["caller"], line["tenant"], line["route"]) == (user.id, "t", "/{tenant}/notes")


async def test_a_token_of_an_ended_epoch_is_nobodys(door: Door):
    """Although its signature is still good, and was just verified."""
    user = await door.user()
    token = door.token(user)
    assert (await post(door, token)).status_code == 201
    assert (await post(door, door.token(user, epoch=user.epoch + 1))).status_code == 401
    await door.store.run(_end_tokens, user.id)
    assert (await post(door, token, key=None)).status_code == 401
    assert (await post(door, token)).status_code == 401


def _end_tokens(tx: Tx, user_id: str) -> None:
    user = tx.get(User, ANYWHERE, user_id)
    assert user is not None
    tx.change(replace(user, epoch=user.epoch + 1))


async def test_an_error_leaves_nothing(door: Door):
    """And is mapped by the dialect."""
    token = door.token(await door.user())
    answer = await post(door, token, "taken", key=None)
    assert (answer.status_code, answer.json()["message"]) == (409, "Conflict")
    assert await total(door, token) == 0


# --- once ----------------------------------------------------------------------------------------------


async def test_a_repeated_request_is_answered_as_the_first(door_on_each: Door):
    """One note, two equal answers; on both databases."""
    door, user = door_on_each, await door_on_each.user()
    first, second = [await post(door, door.token(user)) for _ in range(2)]
    assert first.status_code == 201
    assert same(first, second)
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert await total(door, door.token(user)) == 1


async def test_64_equal_requests_at_once_have_one_effect(door_on_each: Door):
    """And 64 equal answers, whoever came first."""
    door = door_on_each
    token = door.token(await door.user())
    answers = await asyncio.gather(*(post(door, token) for _ in range(64)))
    assert {answer.status_code for answer in answers} == {201}
    assert all(same(answers[0], answer) for answer in answers)
    assert await total(door, token) == 1


async def test_another_body_with_the_same_key_is_refused(door: Door):
    """As the dialect says it; the first answer is still there."""
    token = door.token(await door.user())
    first = await post(door, token, "a")
    answer = await post(door, token, "b")
    assert (answer.status_code, answer.json()["message"]) == (422, "KeyReused")
    assert same(first, await post(door, token, "a"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"key": "k-1"}, {"key": "k-2"}),
        ({"path": "/t/notes"}, {"path": "/u/notes"}),
        ({"path": "/t/notes"}, {"path": "/t/notes?x=1"}),
        ({"key": None}, {"key": None}),
    ],
)
async def test_what_is_not_the_same_happens_again(door: Door, first, second):
    """Another key, path or query; or no key at all."""
    token = door.token(await door.user())
    assert not same(await post(door, token, **first), await post(door, token, **second))
    assert await total(door, token) == 2


async def test_a_key_belongs_to_its_caller(door: Door):
    """Two users who choose the same key do not meet; one user's two tokens do."""
    one, other = await door.user(), await door.user()
    first = await post(door, door.token(one))
    assert not same(first, await post(door, door.token(other)))
    assert same(first, await post(door, door.token(one, jti="another")))


async def test_a_kept_answer_is_for_the_authenticated_only(door: Door):
    """Whoever knows key and body, but is nobody, gets nothing."""
    user = await door.user()
    await post(door, door.token(user))
    expired = door.token(user, exp=door.clock() // 1_000_000 - 1)
    assert (await post(door, expired)).status_code == 401
    assert (await door("POST", "/t/notes", json={"name": "a"}, headers=KEY)).status_code == 401


async def test_an_api_key_repeats_its_own_requests(door: Door):
    """The secret of the key is the caller; a revoked key gets no kept answer either."""
    user = await door.user()
    await door.store.run(_add_key, user, "mk_one")
    first = await post(door, "mk_one")
    assert first.status_code == 201
    assert same(first, await post(door, "mk_one"))
    await door.store.run(lambda tx: tx.remove(ApiKey, ANYWHERE, user_id=user.id))
    assert (await post(door, "mk_one")).status_code == 401


def _add_key(tx: Tx, user: User, plain: str) -> None:
    digest = tx.digest("api-key", plain)
    tx.add(ApiKey(id=KeyId(tx.new_id()), user_id=user.id, digest=digest, issued_at=tx.now))


async def test_an_error_is_not_kept(door: Door):
    """What failed may be tried again with the same key, once it can succeed, and with another body."""
    token = door.token(await door.user())
    assert (await post(door, token, "taken")).status_code == 409
    assert (await post(door, token, "secret-in-error")).status_code == 500
    assert (await post(door, token, "fine")).status_code == 201


async def test_a_request_without_a_caller_happens_once_too(door: Door):
    """Such as registering; who sends another Authorization is another."""
    body = {"first_name": f"ann-{door.clock()}"}
    first = await door("POST", "/users", json=body, headers=KEY)
    second = await door("POST", "/users", json=body, headers=KEY)
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert first.status_code == 201
    assert (await door("POST", "/users", "Bearer x", json=body, headers=KEY)).status_code == 409


async def test_reading_keeps_nothing(door: Door):
    """An Idempotency-Key on a GET means nothing, and is not looked at."""
    token = door.token(await door.user())
    before = await door.store.read(lambda tx: tx.count(StoredReply, ANYWHERE))
    for _ in range(2):
        await door("GET", "/t/notes", f"Bearer {token}", headers=KEY)
    assert await door.store.read(lambda tx: tx.count(StoredReply, ANYWHERE)) == before


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "é", "a\x01b", "a\x7fb"])
async def test_a_key_that_is_none_is_refused(door: Door, key: str):
    """1 to 255 visible characters; nothing happened."""
    token = door.token(await door.user())
    headers = [
        (b"idempotency-key", key.encode()),
        (b"authorization", f"Bearer {token}".encode()),
        (b"content-type", b"application/json"),
    ]
    post_it = {"method": "POST", "raw_path": b"/t/notes", "headers": headers}
    answer = await door.raw(post_it, [b'{"name":"a"}'])
    assert answer[0]["status"] == 400
    assert await total(door, token) == 0


async def test_the_kept_answer_is_sealed(door_on_each: Door):
    """Nothing of it, nor of the key, can be read in the row."""
    door = door_on_each
    token = door.token(await door.user())
    answer = await post(door, token, "a secret name", key="a-secret-key")
    kept = await door.store.read(lambda tx: tx.select(StoredReply, ANYWHERE))
    assert [one.status for one in kept] == [201]
    assert kept[0].body.reveal().encode() == answer.content
    assert "a-secret-key" not in repr(kept)
    assert "secret name" not in repr(kept)


async def test_an_answer_is_kept_for_24_hours(door_on_each: Door, clock: TestClock):
    """Then the key is free again, although nobody cleaned up."""
    door = door_on_each
    user = await door.user()
    first = await post(door, door.token(user))
    clock.micros += idempotency.KEPT - 60_000_000
    assert same(first, await post(door, door.token(user)))
    clock.micros += 120_000_000
    assert not same(first, await post(door, door.token(user), "b"))


async def test_old_answers_are_forgotten_in_portions(door_on_each: Door, clock: TestClock):
    """Maintenance deletes what is kept no longer, and nothing else."""
    door = door_on_each
    user = await door.user()
    for number in range(5):
        await post(door, door.token(user), key=f"old-{number}")
    clock.micros += idempotency.KEPT + 1_000_000
    fresh = await post(door, door.token(user), key="new")
    assert [await door.store.run(idempotency.forget, 3) for _ in range(3)] == [3, 2, 0]
    assert same(fresh, await post(door, door.token(user), key="new"))
