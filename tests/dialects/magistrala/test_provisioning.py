"""One call provisions a gateway whole or not at all, once; its device fetches with id and key alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import DATABASES
from tests.dialects.magistrala.harness import Muster, Person, status

LAYOUT = """
[bootstrap]
  [bootstrap.content.agent.mqtt]
    url = "localhost:1883"

[[clients]]
  name = "gateway"
  [clients.metadata]
    external_id = "xxxxxx"
    site = {name = "north"}

[[clients]]
  name = "sensor"

[[channels]]
  name = "export-channel"
  [channels.metadata]
    type = "export"

[[channels]]
  name = "data-channel"
  [channels.metadata]
    type = "data"

[[channels]]
  name = "extra"

[[channels]]
  name = "control-channel"
  [channels.metadata]
    type = "control"
"""

pytestmark = pytest.mark.xdist_group("magistrala-provisioning")


@pytest.fixture(scope="module", params=DATABASES)
def muster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Muster]:
    """Muster with the layout above, on each database."""
    folder: Path = tmp_path_factory.mktemp("provisioning")
    (folder / "config.toml").write_text(LAYOUT)
    more = {}
    if request.param == "postgresql":
        more["MUSTER_DATABASE_URL"] = request.getfixturevalue("fresh_postgres")
    with Muster(folder, MUSTER_THROTTLE_ATTEMPTS="3", **more) as running:
        yield running


def counts(muster: Muster, domain: str, owner: Person) -> tuple[int, int, int]:
    """Give how many clients, channels and configurations there are."""
    kinds = ("clients", "channels", "clients/configs")
    found = [muster.get(f"/{domain}/{kind}?limit=1", owner)["total"] for kind in kinds]
    return found[0], found[1], found[2]


@pytest.fixture
def asked(domain: str) -> dict[str, str]:
    """What a call says; the pair of id and key is unique in the installation, so each test has its own."""
    return {"external_id": "33:52:79:C3:43", "external_key": f"key of {domain}", "name": "edge-gw"}


# --- what one call makes -------------------------------------------------------------------------------


def test_the_layout_is_made_connected_and_whitelisted(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str]
):
    """Every client connected to every channel both ways, the first named by the request, the rest after."""
    made = muster.make(f"/{domain}/mapping", owner, asked)
    assert ["edge-gw", "edge-gw_sensor"] == [one["name"] for one in made["clients"]]
    names = ["export-channel", "data-channel", "extra", "control-channel"]
    assert names == [one["name"] for one in made["channels"]]
    assert {one["id"]: True for one in made["clients"]} == made["whitelisted"]
    for client in made["clients"]:
        joined = muster.get(f"/{domain}/clients/{client['id']}/channels", owner)["channels"]
        assert 4 == len(joined)
        assert all(["Publish", "Subscribe"] == one["connection_types"] for one in joined)
    metadata = {"external_id": asked["external_id"], "site": {"name": "north"}}
    assert metadata == made["clients"][0]["metadata"]
    gateway = muster.get(f"/{domain}/clients/{made['clients'][0]['id']}", owner)["metadata"]
    control = next(one["id"] for one in made["channels"] if one["name"] == "control-channel")
    assert ("gateway", control) == (gateway["type"], gateway["ctrl_channel_id"])
    assert "external_key" not in gateway


def test_the_device_fetches_channels_in_its_order_with_both_sets_of_keys(
    muster: Muster, domain: str, owner: Person
):
    """control, data, export, then as in the layout (spec D.1); raw, Thing and Client schemes."""
    body = {"external_id": "aa:bb/cc%dd", "external_key": "k-e-y"}
    made = muster.make(f"/{domain}/mapping", owner, body)
    secret = made["clients"][0]["credentials"]["secret"]
    for sent in ("k-e-y", "Thing k-e-y", "Client k-e-y"):
        fetched = muster.get("/clients/bootstrap/aa:bb%2Fcc%25dd", sent)
        names = [one["name"] for one in fetched["channels"]]
        assert ["control-channel", "data-channel", "export-channel", "extra"] == names
        assert fetched["channels"] == fetched["mainflux_channels"]
        assert secret == fetched["client_secret"] == fetched["mainflux_key"]
        assert made["clients"][0]["id"] == fetched["client_id"] == fetched["mainflux_id"]
        assert '{"agent":{"mqtt":{"url":"localhost:1883"}}}' == fetched["content"]


def test_a_layouts_metadata_is_never_shared_between_requests(muster: Muster, domain: str, owner: Person):
    """Many at once, each with its own external id and metadata (spec C.6, 3)."""
    requests = [
        {"external_id": f"own-{n}", "external_key": f"key-{n}", "metadata": {"n": n, "deep": {"n": n}}}
        for n in range(20)
    ]
    path = f"/{domain}/mapping"
    made = [one.json() for one in muster.at_once(*(("POST", path, owner, body) for body in requests))]
    for n, each in enumerate(made):
        metadata = each["clients"][0]["metadata"]
        assert (f"own-{n}", n, {"n": n}) == (metadata["external_id"], metadata["n"], metadata["deep"])


def test_a_dry_run_writes_nothing(muster: Muster, domain: str, owner: Person, asked: dict[str, str]):
    """It shows the plan: nothing to make where the call was made, and 409 where it would conflict."""
    plan = muster.ask("POST", f"/{domain}/mapping?dry_run=true", owner, json=asked)
    assert (200, True, 8) == (plan.status_code, plan.json()["dry_run"], len(plan.json()["connections"]))
    assert (0, 0, 0) == counts(muster, domain, owner)
    muster.make(f"/{domain}/mapping", owner, asked)
    again = muster.ask("POST", f"/{domain}/mapping?dry_run=true", owner, json=asked)
    assert (200, [], []) == (again.status_code, again.json()["clients"], again.json()["connections"])
    other = {**asked, "external_key": "another key"}
    assert 409 == status(muster, "POST", f"/{domain}/mapping?dry_run=true", owner, other)


def test_without_a_domain_the_callers_own_is_meant(
    muster: Muster, person: Callable[[], Person], asked: dict[str, str]
):
    """Every user has a personal domain (seed: POST /mapping)."""
    user = person()
    made = muster.make("/mapping", user, {**asked, "external_key": f"key of {user.username}"})
    mine = muster.get("/domains", user)["domains"]
    assert [made["clients"][0]["domain_id"]] == [one["id"] for one in mine]
    assert {"agent": {"mqtt": {"url": "localhost:1883"}}} == muster.get("/mapping", user)
    assert 401 == status(muster, "POST", "/mapping", None, asked)


# --- exactly once --------------------------------------------------------------------------------------


def test_64_equal_calls_at_once_make_one_set_and_64_equal_answers(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str]
):
    """All 201, all the same bytes."""
    answers = muster.at_once(*[("POST", f"/{domain}/mapping", owner, asked)] * 64)
    assert {201} == {one.status_code for one in answers}
    assert 1 == len({one.content for one in answers})
    assert (2, 4, 1) == counts(muster, domain, owner)


def test_64_calls_with_different_keys_at_once_make_one_set(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str]
):
    """One wins, 63 get 409, nothing of theirs remains."""
    bodies = [{**asked, "external_key": f"key-{n}"} for n in range(64)]
    answers = muster.at_once(*(("POST", f"/{domain}/mapping", owner, body) for body in bodies))
    assert [201, *[409] * 63] == sorted(one.status_code for one in answers)
    assert (2, 4, 1) == counts(muster, domain, owner)


@pytest.mark.parametrize(
    "change", [{"external_key": "another"}, {"name": "another"}, {"metadata": {"a": 1}}], ids=str
)
def test_the_same_id_with_anything_else_is_409_and_changes_nothing(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str], change: dict[str, object]
):
    """Key, name or metadata; the first call's answer is still given."""
    first = muster.ask("POST", f"/{domain}/mapping", owner, json=asked)
    before = counts(muster, domain, owner)
    assert 409 == status(muster, "POST", f"/{domain}/mapping", owner, {**asked, **change})
    assert before == counts(muster, domain, owner)
    assert first.content == muster.ask("POST", f"/{domain}/mapping", owner, json=asked).content


def test_a_rotated_secret_is_in_the_next_answer_and_fetch(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str]
):
    """The answer is built afresh from what is true now; no stale copy anywhere."""
    body = {**asked, "external_id": f"rotating-{domain}"}
    made = muster.make(f"/{domain}/mapping", owner, body)
    client = made["clients"][0]["id"]
    path = f"/{domain}/clients/{client}/secret"
    assert 200 == status(muster, "PATCH", path, owner, {"secret": "rotated"})
    again = muster.make(f"/{domain}/mapping", owner, body)
    assert "rotated" == again["clients"][0]["credentials"]["secret"]
    assert [one["id"] for one in made["channels"]] == [one["id"] for one in again["channels"]]
    fetched = muster.get(f"/clients/bootstrap/{body['external_id']}", f"Client {body['external_key']}")
    assert "rotated" == fetched["client_secret"]


def test_a_deleted_channel_is_in_no_answer_and_no_fetch_any_more(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str]
):
    """Nor does it break anything that lists it."""
    body = {**asked, "external_id": f"deleting-{domain}"}
    made = muster.make(f"/{domain}/mapping", owner, body)
    gone, client = made["channels"][0]["id"], made["clients"][0]["id"]
    assert 204 == status(muster, "DELETE", f"/{domain}/channels/{gone}", owner)
    again = muster.make(f"/{domain}/mapping", owner, body)
    assert gone not in [one["id"] for one in again["channels"]]
    assert client in again["whitelisted"]
    fetched = muster.get(f"/clients/bootstrap/{body['external_id']}", f"Client {body['external_key']}")
    assert gone not in [one["id"] for one in fetched["channels"]]
    assert 200 == status(muster, "PUT", f"/{domain}/clients/state/{client}", owner, {"state": 0})
    assert 200 == status(muster, "PUT", f"/{domain}/clients/state/{client}", owner, {"state": 1})
    assert 1 == muster.get(f"/{domain}/clients/configs?state=1", owner)["total"]


def test_who_is_whitelisted_is_told_as_it_is(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str]
):
    """After silencing the device, and after letting it speak again."""
    made = muster.make(f"/{domain}/mapping", owner, asked)
    client = made["clients"][0]["id"]
    for state in (0, 1):
        assert 200 == status(muster, "PUT", f"/{domain}/clients/state/{client}", owner, {"state": state})
        again = muster.make(f"/{domain}/mapping", owner, asked)
        assert bool(state) is (client in again["whitelisted"])
        assert state == muster.get(f"/{domain}/clients/configs/{client}", owner)["state"]
        assert state == muster.get(f"/{domain}/clients/configs?state={state}", owner)["total"] * state


def test_a_mapping_whose_clients_are_gone_can_be_made_again(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str]
):
    """Whoever deletes them by hand ends it."""
    made = muster.make(f"/{domain}/mapping", owner, asked)
    for client in made["clients"]:
        assert 204 == status(muster, "DELETE", f"/{domain}/clients/{client['id']}", owner)
    again = muster.make(f"/{domain}/mapping", owner, {**asked, "external_key": "another"})
    assert 2 == len(again["clients"])
    assert (2, 8, 1) == counts(muster, domain, owner)


def test_an_idempotency_key_makes_any_creation_happen_once(muster: Muster, domain: str, owner: Person):
    """32 at once make one client; the key with another body is refused."""
    headers = {"Idempotency-Key": f"once-{domain}"}
    requests = [("POST", f"/{domain}/clients", owner, {"name": "a"})] * 32
    answers = muster.at_once(*requests, headers=headers)
    assert ({201}, 1) == ({one.status_code for one in answers}, len({one.content for one in answers}))
    assert 1 == muster.get(f"/{domain}/clients", owner)["total"]
    other = muster.ask("POST", f"/{domain}/clients", owner, json={"name": "b"}, headers=headers)
    said = "the idempotency key was used for another body"
    assert (409, said) == (other.status_code, other.json()["error"])


def test_tenants_do_not_squat_each_others_external_ids(
    muster: Muster, domain: str, owner: Person, stranger: Person
):
    """The same id in two domains, each with its own key; each device gets its own."""
    theirs = muster.domain(stranger, f"other-{domain}")
    made = [
        muster.make(f"/{tenant}/mapping", who, {"external_id": "shared", "external_key": f"key of {tenant}"})
        for tenant, who in ((domain, owner), (theirs, stranger))
    ]
    for tenant, each in zip((domain, theirs), made, strict=True):
        fetched = muster.get("/clients/bootstrap/shared", f"Client key of {tenant}")
        assert each["clients"][0]["id"] == fetched["client_id"]


# --- taking it back ------------------------------------------------------------------------------------


def test_taking_back_deletes_exactly_what_was_made(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str]
):
    """And frees the external id."""
    mine = muster.make(f"/{domain}/channels", owner, {"name": "mine"})["id"]
    made = muster.make(f"/{domain}/mapping", owner, asked)
    gone = muster.ask("DELETE", f"/{domain}/mapping/{asked['external_id']}", owner).json()
    assert [one["id"] for one in made["clients"]] == gone["clients"]
    assert [one["id"] for one in made["channels"]] == gone["channels"]
    assert {} == gone["kept"]
    assert [mine] == [one["id"] for one in muster.get(f"/{domain}/channels", owner)["channels"]]
    assert (0, 1, 0) == counts(muster, domain, owner)
    assert 404 == status(muster, "DELETE", f"/{domain}/mapping/{asked['external_id']}", owner)
    assert 201 == status(muster, "POST", f"/{domain}/mapping", owner, {**asked, "external_key": "x"})


def test_what_is_used_since_stays_and_is_reported(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str], stranger: Person
):
    """Changed, shared with a user, or connected to something else; until it is forced."""
    made = muster.make(f"/{domain}/mapping", owner, asked)
    (gateway, sensor), channels = made["clients"], made["channels"]
    muster.share(f"/{domain}/clients/{sensor['id']}", owner, stranger, "read")
    assert 200 == status(
        muster, "PATCH", f"/{domain}/channels/{channels[0]['id']}", owner, {"name": "renamed"}
    )
    other = muster.make(f"/{domain}/clients", owner, {"name": "other"})["id"]
    path = f"/{domain}/channels/{channels[1]['id']}/connect"
    muster.make(path, owner, {"client_ids": [other], "types": ["subscribe"]})
    taken = muster.ask("DELETE", f"/{domain}/mapping/{asked['external_id']}", owner).json()
    kept = {sensor["id"]: "shared", channels[0]["id"]: "changed", channels[1]["id"]: "shared"}
    assert kept == taken["kept"]
    assert [gateway["id"]] == taken["clients"]
    for client in (sensor["id"], other):
        assert 200 == status(muster, "GET", f"/{domain}/clients/{client}", owner)
    forced = muster.ask("DELETE", f"/{domain}/mapping/{asked['external_id']}?force=true", owner).json()
    assert ([sensor["id"]], {}) == (forced["clients"], forced["kept"])
    assert (1, 0, 0) == counts(muster, domain, owner)


def test_only_channels_that_are_used_can_still_be_forced_away(
    muster: Muster, domain: str, owner: Person, asked: dict[str, str]
):
    """While something stays, the record of it stays too."""
    made = muster.make(f"/{domain}/mapping", owner, asked)
    channel = made["channels"][0]["id"]
    assert 200 == status(muster, "PATCH", f"/{domain}/channels/{channel}", owner, {"name": "renamed"})
    path = f"/{domain}/mapping/{asked['external_id']}"
    assert {channel: "changed"} == muster.ask("DELETE", path, owner).json()["kept"]
    assert [channel] == muster.ask("DELETE", f"{path}?force=true", owner).json()["channels"]
    assert (0, 0, 0) == counts(muster, domain, owner)


# --- the fetch -----------------------------------------------------------------------------------------


def test_the_fetch_says_what_is_wrong_as_clients_expect(muster: Muster, domain: str, owner: Person):
    """No key 400, unknown id 404, wrong key 403 (spec A.9)."""
    body = {"external_id": f"asking-{domain}", "external_key": "key"}
    muster.make(f"/{domain}/mapping", owner, body)
    path = f"/clients/bootstrap/{body['external_id']}"
    answers = [
        (None, path, 400, "missing or invalid bearer entity key", "something went wrong with the request"),
        ("Client wrong", path, 403, "", "failed to get bootstrap configuration for given external key"),
        ("Client key", f"{path}x", 404, "", "failed to read bootstrap configuration"),
    ]
    for who, asked, code, error, message in answers:
        answer = muster.ask("GET", asked, who)
        assert (code, {"error": error, "message": message}) == (answer.status_code, answer.json())
    assert (
        404 == muster.ask("GET", f"/clients/bootstrap/secure/{body['external_id']}", "Client 00").status_code
    )


def test_guessing_is_slowed_down_but_the_right_key_works_from_elsewhere(
    muster: Muster, domain: str, owner: Person
):
    """429 with Retry-After, per external id and source."""
    body = {"external_id": f"guessed-{domain}", "external_key": "key"}
    muster.make(f"/{domain}/mapping", owner, body)
    path = f"/clients/bootstrap/{body['external_id']}"
    tries = [muster.ask("GET", path, f"Client {n}", source="198.51.100.7") for n in range(4)]
    assert [403, 403, 403, 429] == [one.status_code for one in tries]
    assert 0 < int(tries[3].headers["retry-after"]) <= 60
    assert 429 == muster.ask("GET", path, "Client key", source="198.51.100.7").status_code
    assert 200 == muster.ask("GET", path, "Client key", source="198.51.100.8").status_code


def test_who_is_disabled_fetches_nothing(muster: Muster, domain: str, owner: Person):
    """The device, or its domain; enabled again it does."""
    body = {"external_id": f"sleeping-{domain}", "external_key": "key"}
    client = muster.make(f"/{domain}/mapping", owner, body)["clients"][0]["id"]
    path = f"/clients/bootstrap/{body['external_id']}"
    for entity in (f"/{domain}/clients/{client}", f"/domains/{domain}"):
        source = f"198.51.100.{20 + len(entity) % 7}"
        assert 200 == status(muster, "POST", f"{entity}/disable", owner)
        assert 403 == muster.ask("GET", path, "Client key", source=source).status_code
        assert 200 == status(muster, "POST", f"{entity}/enable", owner)
        assert 200 == muster.ask("GET", path, "Client key", source=source).status_code


def test_a_configuration_can_be_made_by_hand(muster: Muster, domain: str, owner: Person):
    """Without client_id a client is made; its channels are connected when it is whitelisted (spec A.9)."""
    channels = muster.make(f"/{domain}/channels/bulk", owner, [{"name": "a"}, {"name": "b"}])["channels"]
    ids = [one["id"] for one in channels]
    body = {"external_id": f"hand-{domain}", "external_key": "key", "channels": ids, "content": "{}"}
    made = muster.ask("POST", f"/{domain}/clients/configs", owner, json=body)
    client = made.headers["location"].removeprefix("/clients/configs/")
    assert (201, b"") == (made.status_code, made.content)
    assert f"Bootstrapped Client {client}" == muster.get(f"/{domain}/clients/{client}", owner)["name"]
    assert 409 == status(muster, "POST", f"/{domain}/clients/configs", owner, body)
    assert 0 == muster.get(f"/{domain}/clients/{client}/channels", owner)["total"]
    state = f"/{domain}/clients/state/{client}"
    for _ in range(2):
        assert 200 == status(muster, "PUT", state, owner, {"state": 1})
    assert 2 == muster.get(f"/{domain}/clients/{client}/channels", owner)["total"]
    path = f"/{domain}/clients/configs/connections/{client}"
    assert 200 == status(muster, "PUT", path, owner, {"channels": ids[:1]})
    assert ids[:1] == [c["id"] for c in muster.get(f"/{domain}/clients/{client}/channels", owner)["channels"]]
    assert 400 == status(muster, "PUT", state, owner, {"state": 2})
    config = f"/{domain}/clients/configs/{client}"
    secret = muster.get(config, owner)["client_secret"]
    assert 1 == muster.get(f"/{domain}/clients/configs?client_key={secret}", owner)["total"]
    assert [204, 204] == [status(muster, "DELETE", config, owner) for _ in range(2)]
    assert 200 == status(muster, "GET", f"/{domain}/clients/{client}", owner)
