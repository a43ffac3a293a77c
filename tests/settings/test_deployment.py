"""What is built and run in containers is what the tests run, with settings that exist."""

import re
from pathlib import Path

import pytest
import yaml

from muster.settings import Address, load
from muster.settings.reading import FIELDS

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
ENV = (ROOT / ".env").read_text()
VARIABLES = {field.variable for field in FIELDS} | {
    f"{each.variable}_FILE" for each in FIELDS if each.is_secret
}


def pairs(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name}\s+(.*)$", CONTAINERFILE, re.MULTILINE)


IMAGE_ENV = dict(each.split("=", 1) for line in instructions("ENV") for each in line.split())
MUSTERS = [name for name, service in COMPOSE["services"].items() if service.get("image") == "muster"]


@pytest.fixture
def settings_of(tmp_path):
    """The settings a service starts with: the image's, then .env, then its own, secrets read from files."""
    secret = tmp_path / "database_url"
    secret.write_text("postgresql://muster:s3cret@postgres/muster\n")

    def read(service: str):
        own = COMPOSE["services"][service].get("environment", {})
        mounted = {name: str(secret) for name in own if name.endswith("_FILE")}
        given = {**IMAGE_ENV, **pairs(ENV), **own, **mounted}
        return load({name: text for name, text in given.items() if name.startswith("MUSTER_")}).settings

    return read


def test_every_variable_that_is_handed_on_is_a_setting():
    """In the image, in .env and in compose.yaml."""
    own = [name for each in MUSTERS for name in COMPOSE["services"][each].get("environment", {})]
    named = [*pairs(ENV), *own, *(name for name in IMAGE_ENV if name.startswith("MUSTER_"))]
    assert set(named) - VARIABLES == set()
    assert len(pairs(ENV)) >= 5


def test_every_variable_of_the_file_says_what_it_is_for():
    """A paragraph of .env begins with its comment."""
    paragraphs = [each for each in ENV.split("\n\n") if pairs(each)]
    assert [each for each in paragraphs if not each.startswith("# ")] == []


def test_nothing_in_git_is_a_secret():
    """Secrets come from .env.local and from files, and git sees neither."""
    secrets = {each.variable for each in FIELDS if each.is_secret}
    assert {name for name, text in {**IMAGE_ENV, **pairs(ENV)}.items() if name in secrets and text} == set()
    assert "s3cret" not in ENV
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {".env.local", "secrets/"} <= set(ignored)
    assert {each["file"].split("/")[1] for each in COMPOSE["secrets"].values()} == {"secrets"}


def test_the_small_one_is_sqlite_alone(settings_of):
    """`docker compose up` starts one container."""
    always = [name for name, service in COMPOSE["services"].items() if "profiles" not in service]
    assert always == ["muster"]
    assert settings_of("muster").sqlite_file == Path("/var/lib/muster/muster.db")


def test_the_large_one_has_postgresql_and_nats(settings_of):
    """Their profile is the same, and Muster waits for them."""
    large = {name for name, service in COMPOSE["services"].items() if service.get("profiles") == ["large"]}
    assert large == {"muster-large", "postgres", "nats"}
    assert set(COMPOSE["services"]["muster-large"]["depends_on"]) == {"postgres", "nats"}
    settings = settings_of("muster-large")
    assert settings.database_url.target == "postgresql://postgres/muster"
    assert (settings.nats_url.target, settings.nats_mqtt) == ("nats://nats:4222", (Address("nats", 1883),))
    assert settings.workers > 1


@pytest.mark.parametrize("service", MUSTERS)
def test_a_container_has_no_more_rights_than_it_needs(service):
    """Its file system is read-only but for its data, and it can gain nothing."""
    described = COMPOSE["services"][service]
    assert described["read_only"] is True
    assert described["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in described["security_opt"]
    assert [each.split(":")[1] for each in described["volumes"]] == instructions("VOLUME")
    assert IMAGE_ENV["MUSTER_DATA_DIR"] == instructions("VOLUME")[0]


def test_the_image_does_not_run_as_root():
    """Its user is a number, so that a cluster can see that it is not root's."""
    assert [int(user) > 0 for user in instructions("USER")] == [True]


def test_the_image_is_built_by_the_makefile():
    """With the target that `make run` depends on, from the locked dependencies."""
    makefile = (ROOT / "Makefile").read_text()
    assert "\nrun: $(VENV)/.run" in makefile
    assert "make .venv/.run" in " ".join(instructions("RUN"))
    assert "VENV := .venv\n" in makefile
    assert "pip install" not in CONTAINERFILE


def test_everything_the_image_needs_reaches_it():
    """What is copied exists, and .dockerignore lets it through."""
    copied = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    passed = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert [each for each in copied if not (ROOT / each).exists()] == []
    assert sorted(copied) == sorted(passed)


def test_the_image_has_the_python_that_the_locks_are_for():
    """Both stages have the same, and `make lock` names it."""
    versions = set(re.findall(r"^FROM python:(\d+\.\d+)-", CONTAINERFILE, re.MULTILINE))
    assert versions == set(re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text()))
    assert len(instructions("FROM")) == 2


def test_ports_agree_everywhere(settings_of):
    """What listens is exposed, and what is exposed is published, by default for this machine only."""
    settings = settings_of("muster")
    listens = [getattr(settings, name) for name in ("http", "mqtt", "mqtt_ws", "adapter_mqtt")]
    exposed = [int(port) for port in instructions("EXPOSE")[0].split()]
    published = [
        re.fullmatch(r"\$\{PUBLISH_ON:-127\.0\.0\.1\}:(\d+):\1", each)
        for each in COMPOSE["x-muster"]["ports"]
    ]
    assert [address.port for address in listens] == exposed
    assert [int(each[1]) for each in published if each] == exposed
    assert {address.host for address in listens} == {"0.0.0.0"}
