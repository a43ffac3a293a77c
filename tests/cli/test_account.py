"""Who you are, where: logging in, profiles, tokens."""

import json
import stat
from pathlib import Path

from tests.cli.conftest import Person, Shell
from tests.journeys.server import Server
from tests.ports import free_port


def profiles(shell: Shell) -> Path:
    return shell.folder / "config" / "muster" / "profiles.json"


def test_logging_in_is_remembered_for_the_users_eyes_only(bare: Shell, jane: Person) -> None:
    """Tokens are in the profile, the password is nowhere, and nobody else may read the file."""
    told = bare.json("login", jane.name, "--password", "-", stdin=jane.password + "\n")
    assert jane.name == told["user"]
    assert stat.S_IMODE(profiles(bare).stat().st_mode) == 0o600
    assert jane.password not in profiles(bare).read_text()
    assert jane.name == bare.json("status")["user"]


def test_the_only_domain_is_the_default_one(bare: Shell, jane: Person) -> None:
    """Who has a single domain never names it."""
    told = bare.json("login", jane.name, "--password", "-", stdin=jane.password + "\n")
    assert told["domain_id"] == bare.json("clients", "create", "--name", "a")["domain_id"]


def test_a_domain_is_asked_for_when_it_is_not_clear_which(muster: Shell, jane: Person) -> None:
    """Two domains and no choice is an error that says how to choose."""
    muster("login", jane.name, "--password", "-", "--profile", "other", stdin=jane.password + "\n")
    ran = muster.try_("clients", "list", "--profile", "other")
    ran.refused("2 domains", "muster domains use", code=2)


def test_a_domain_can_be_named_by_alias_or_id(muster: Shell) -> None:
    """Both lead to the same place; what is neither is an error."""
    made = muster.json("domains", "create", "Second", f"second-{free_port()}")
    first = muster.json("clients", "create", "--name", "a", "--domain", made["alias"])
    second = muster.json("clients", "create", "--name", "b", "-d", made["id"])
    assert [made["id"]] * 2 == [first["domain_id"], second["domain_id"]]
    muster.try_("clients", "list", "-d", "nowhere").refused("no domain 'nowhere'", "muster domains list")


def test_a_wrong_password_is_refused_in_words(bare: Shell, jane: Person) -> None:
    """And nothing is remembered."""
    ran = bare.try_("login", jane.name, "--password", "-", stdin="wrong password\n")
    ran.refused("username or password is wrong", "[request ", "muster users recover")
    assert not profiles(bare).exists()


def test_nothing_is_asked_without_a_terminal(bare: Shell) -> None:
    """A missing name or password is a usage error that says how to give it."""
    bare.try_("login").refused("username is missing", "--password -", code=2)
    bare.try_("login", "jane").refused("password of jane is missing", "--password FILE", code=2)
    bare.try_("login", "jane", "--password", "-", stdin="\n").refused("no usable first line", code=2)
    bare.try_("login", "jane", "--password", "nowhere.txt").refused("nowhere.txt: No such file", code=2)


def test_a_password_can_stand_in_a_file(bare: Shell, jane: Person) -> None:
    """Its first line counts."""
    where = bare.file("password", jane.password + "\nsomething else\n")
    assert jane.name == bare.json("login", jane.name, "--password", where)["user"]


def test_a_server_that_is_not_there_has_an_exit_code_of_its_own(bare: Shell) -> None:
    """Scripts can tell it from a refusal."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    bare.try_("clients", "list", "--url", nowhere).refused("nobody answers", "muster serve", code=3)
    told = bare.try_("status", "--url", nowhere, "-o", "json")
    assert 3 == told.code
    assert "nobody answers" in told.json["problem"]


def test_an_address_that_is_none_is_told(bare: Shell) -> None:
    """Before anything is sent."""
    for address in ("ftp://example.com", "http://", "http://[", "http://user:password@127.0.0.1"):
        bare.try_("clients", "list", "--url", address).refused("no address of a server", code=2)


def test_something_else_that_speaks_http_is_told(bare: Shell, server: Server) -> None:
    """An address that leads to another page is no Muster."""
    bare.try_("domains", "list", "--url", f"{server.url}/docs").refused(code=1)
    told = bare.try_("status", "--url", f"{server.url}/docs", "-o", "json")
    assert 1 == told.code
    assert told.json["problem"]


def test_tokens_go_to_their_own_server_only(muster: Shell) -> None:
    """With another address the profile's tokens stay at home."""
    port = free_port()
    muster.environment.pop("MUSTER_URL")
    assert "problem" not in muster.json("status")
    told = muster.try_("status", "--url", f"http://127.0.0.1:{port}", "-o", "json").json
    assert "user" not in told
    known = json.loads(profiles(muster).read_text())
    url = known["profiles"]["default"]["url"]
    same_server = url.replace("127.0.0.1", "localhost")
    muster.try_("clients", "list", "--url", same_server).refused("missing or invalid bearer", "muster login")


def test_an_expired_access_token_is_renewed_by_itself(muster: Shell) -> None:
    """The refresh token does it, and the new ones are remembered."""
    known = json.loads(profiles(muster).read_text())
    before = known["profiles"]["default"]["access"]
    known["profiles"]["default"]["access"] = before[:-4] + "AAAA"
    profiles(muster).write_text(json.dumps(known))
    muster("clients", "list")
    after = json.loads(profiles(muster).read_text())["profiles"]["default"]["access"]
    assert after != known["profiles"]["default"]["access"]


def test_after_logging_out_there_are_no_tokens(muster: Shell) -> None:
    """The address and the name stay."""
    muster("logout")
    muster.try_("clients", "list").refused("401", "muster login")
    [profile] = muster.json("profiles", "list")
    assert ("no", True) == (profile["logged_in"], bool(profile["username"]))


def test_a_token_from_the_environment_counts_before_the_profile(muster: Shell, jane: Person) -> None:
    """MUSTER_TOKEN is for programs that have no profile."""
    tokens = muster.json("tokens", "issue", jane.name, "--password", "-", stdin=jane.password)
    muster("logout")
    muster.environment["MUSTER_TOKEN"] = tokens["access_token"]
    assert jane.name == muster.json("status")["user"]
    muster.environment["MUSTER_TOKEN"] = "nonsense"
    muster.try_("clients", "list", "-d", "x").refused("401", "MUSTER_TOKEN")


def test_profiles_are_servers_and_users_side_by_side(muster: Shell, server: Server) -> None:
    """They are made, chosen and forgotten by name."""
    muster.environment.pop("MUSTER_URL")
    muster("profiles", "set", "lab", "--url", "http://127.0.0.1:1", "--ca", "")
    assert {"default", "lab"} == {row["name"] for row in muster.json("profiles", "list")}
    muster("profiles", "use", "lab")
    assert 3 == muster.try_("status").code
    muster("status", "--profile", "default")
    muster.environment["MUSTER_PROFILE"] = "default"
    muster("status")
    muster("profiles", "remove", "lab")
    assert ["default"] == [row["name"] for row in muster.json("profiles", "list")]
    muster.try_("profiles", "remove", "lab").refused("no profile 'lab'", code=2)
    muster.try_("profiles", "use", "lab").refused("no profile 'lab'", code=2)
    muster.try_("status", "--profile", "../lab").refused("cannot be the name of a profile", code=2)


def test_another_address_forgets_a_profiles_tokens(muster: Shell) -> None:
    """They belong to the server they came from."""
    muster("profiles", "set", "default", "--url", "http://127.0.0.1:1")
    assert "access" not in json.loads(profiles(muster).read_text())["profiles"]["default"]


def test_a_broken_profile_file_is_told_with_the_way_out(bare: Shell) -> None:
    """Whatever is in it."""
    profiles(bare).parent.mkdir(parents=True)
    for text in ("{", "[]", '{"current": "a"}', '{"current": "a", "profiles": {"a": {"url": 5}}}', "\xff"):
        profiles(bare).write_bytes(text.encode("latin-1"))
        bare.try_("status").refused("cannot be read", "log in again", code=2)


def test_the_password_can_be_changed(muster: Shell, jane: Person) -> None:
    """With the old one; the tokens end."""
    muster("users", "password", "--old", "-", "--new", "-", stdin=f"{jane.password}\nanother secret\n")
    muster.try_("users", "profile").refused("401")
    muster("login", jane.name, "--password", "-", stdin="another secret\n")
    ran = muster.try_("users", "password", "--old", "-", "--new", "-", stdin="wrong one\nshort\n")
    ran.refused("password does not meet the requirements")
