"""A verifier of the past is made anew at the login, and nobody notices."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher

from muster.ca.passwords import PasswordPool, needs_rehash
from muster.core import users
from muster.core.model import User
from muster.core.ports import ANYWHERE
from muster.web.passwords import renew
from tests.dialects.magistrala.harness import PASSWORD, Muster, Person, status

OLDER = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
IMPORTED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture(scope="module")
def muster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Muster]:
    with Muster(tmp_path_factory.mktemp("verifiers")) as running:
        yield running


def stored(muster: Muster, user_id: str) -> User:
    user = muster.wait(muster.parts.store.read(lambda tx: tx.get(User, ANYWHERE, user_id)))
    assert user is not None
    return user


def with_verifier(muster: Muster, name: str, verifier: str) -> Person:
    """Register somebody whose password was hashed otherwise."""
    who = muster.register(name)
    older = replace(stored(muster, who.id), password=verifier)
    muster.wait(muster.parts.store.run(lambda tx: tx.change(older)))
    return who


def basic(name: str, plain: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{plain}'.encode()).decode()}"


DOORS: dict[str, Any] = {
    "magistrala": lambda m, who, plain: status(
        m, "POST", "/users/tokens/issue", None, {"username": who.username, "password": plain}
    ),
    "mainflux": lambda m, who, plain: status(
        m, "POST", "/tokens", None, {"email": who.email, "password": plain}
    ),
    "hono": lambda m, who, plain: status(m, "GET", "/v1/tenants/none", basic(who.username, plain)),
}
RIGHT = {"magistrala": 201, "mainflux": 201, "hono": 404}
WRONG = {"magistrala": 401, "mainflux": 403, "hono": 401}


@pytest.mark.parametrize("verifier", [OLDER, IMPORTED], ids=["older", "imported"])
@pytest.mark.parametrize("door", DOORS)
def test_a_login_makes_the_verifier_anew(muster: Muster, door: str, verifier: str):
    """At every door, of older costs and of another kind; no token ends, and the next login finds it done."""
    who = with_verifier(muster, f"{door}-{verifier[1:3]}", verifier)
    before = stored(muster, who.id)
    assert RIGHT[door] == DOORS[door](muster, who, PASSWORD)
    after = stored(muster, who.id)
    assert not needs_rehash(after.password)
    assert replace(before, password=after.password) == after
    assert 200 == status(muster, "GET", "/users/profile", who)
    assert who.id == muster.login(who.username, PASSWORD).id
    assert after == stored(muster, who.id)


@pytest.mark.parametrize("door", DOORS)
def test_a_wrong_password_changes_nothing(muster: Muster, door: str):
    """The verifier is as it was."""
    who = with_verifier(muster, f"wrong-{door}", OLDER)
    assert WRONG[door] == DOORS[door](muster, who, "another password")
    assert OLDER == stored(muster, who.id).password


def test_an_older_password_can_be_changed(muster: Muster):
    """To compare with the old one is no login: nothing comes between that and the change."""
    who = with_verifier(muster, "changing", OLDER)
    body = {"old_password": PASSWORD, "password": "a new password"}
    assert 201 == status(muster, "PATCH", "/password", who.token, body)
    assert who.id == muster.login("changing", "a new password").id


def test_a_password_that_changed_meanwhile_stays(muster: Muster):
    """What was compared is no longer what is stored: the newer wins."""
    who = with_verifier(muster, "meanwhile", OLDER)
    user = stored(muster, who.id)
    changed = replace(user, password=IMPORTED)
    muster.wait(muster.parts.store.run(lambda tx: tx.change(changed)))
    muster.wait(renew(muster.parts.store, muster.parts.passwords, user, PASSWORD))
    assert IMPORTED == stored(muster, who.id).password


def test_a_login_never_fails_because_of_it(tmp_path: Path):
    """Neither when the store does not take it nor when too many wait for a hash."""
    with Muster(tmp_path) as muster:
        user = stored(muster, with_verifier(muster, "unlucky", OLDER).id)
        muster.wait(renew(muster.parts.store, PasswordPool(most=0), user, PASSWORD))
        assert OLDER == stored(muster, user.id).password
        muster.parts.store.close()
        muster.wait(renew(muster.parts.store, muster.parts.passwords, user, PASSWORD))


def test_nobody_has_no_verifier(muster: Muster):
    """A user that is gone meanwhile is not brought back."""
    gone = replace(stored(muster, muster.register("going").id), id="gone")
    fresh = muster.parts.store.run(users.renew_verifier, gone.id, old=gone.password, new=OLDER)
    assert muster.wait(fresh) is False
