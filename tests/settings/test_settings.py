"""The settings are read once, whole, and nothing wrong passes in silence."""

import tempfile
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.core.model import Secret
from muster.settings import Address, Settings, SettingsError, load
from muster.settings.model import PUBLISHED_KEYS
from muster.settings.reading import FIELDS

BROKEN = '''\
# muster
http = "a:-1"
worker = 2

log_level = """
loud"""
mqtt = { port = 1 }
more.a = 1

provision_file = "a\\u0000"
'''
VAULT = {"MUSTER_VAULT_ADDR": "https://v:8200", "MUSTER_VAULT_TOKEN": "t", "MUSTER_VAULT_ROLE": "r"}


def refused(environ, **others) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load(environ, folder=Path("/nonexistent"), **others)
    return str(refusal.value).splitlines()


def accepted(environ, **others):
    return load(environ, folder=Path("/nonexistent"), **others)


@pytest.fixture
def toml(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "muster.toml"
        path.write_text(text)
        return path

    return write


def test_nothing_has_to_be_set():
    """Every default works, and none of them is a secret that others know."""
    read = accepted({})
    assert read.settings == Settings()
    assert read.settings.http == Address("127.0.0.1", 8080)
    assert read.settings.https == Address("127.0.0.1", 8443)
    assert read.settings.access_token_lifetime == timedelta(hours=1)
    assert [field.name for field in FIELDS if field.is_secret and field.default is not None] == []
    assert {row.source for row in read.effective()} == {"default"}
    assert read.notices == ()


def test_everything_that_listens_by_default_listens_on_the_loopback():
    """A fresh Muster cannot be reached from elsewhere."""
    addresses = [field.default for field in FIELDS if isinstance(field.default, Address)]
    assert {address.host for address in addresses} == {"127.0.0.1"}
    assert len(addresses) == 6


def test_options_count_before_the_environment_before_the_file_before_upstreams(toml):
    """Each layer is overridden by the one before, and `muster config` says which it was."""
    file = toml('admin_email = "file@here.org"\nworkers = 1\nhttp = "[::1]:1"\n')
    environ = {
        "MUSTER_HTTP": "127.0.0.1:2",
        "MUSTER_WORKERS": "1",
        "MG_USERS_ADMIN_EMAIL": "mg@here.org",
        "MF_AUTH_ACCESS_TOKEN_DURATION": "5m",
        "SMQ_AUTH_ACCESS_TOKEN_DURATION": "10m",
    }
    read = accepted(environ, config=file, options={"http": "127.0.0.1:3"})
    rows = {row.name: (row.value, row.source) for row in read.effective()}
    assert rows["http"] == ("127.0.0.1:3", "--http")
    assert rows["workers"] == ("1", "MUSTER_WORKERS")
    assert rows["admin_email"] == ("file@here.org", f"{file}, line 1")
    assert rows["access_token_lifetime"] == ("10m", "SMQ_AUTH_ACCESS_TOKEN_DURATION")
    assert rows["mqtt"] == ("127.0.0.1:1883", "default")


def test_the_environment_can_name_the_file(toml):
    """MUSTER_CONFIG is what --config is; the option counts."""
    file = toml("workers = 1\nself_register = false\n")
    assert accepted({"MUSTER_CONFIG": str(file)}).settings.self_register is False
    assert accepted({"MUSTER_CONFIG": "/nowhere"}, config=file).settings.self_register is False


def test_an_empty_port_is_off_and_any_other_empty_variable_says_nothing(toml):
    """Compose files hand on variables that nobody set."""
    file = toml('mqtt = ""\nlog_level = "debug"\n')
    read = accepted({"MUSTER_HTTP": "", "MUSTER_LOG_LEVEL": "", "MUSTER_ADMIN_PASSWORD": ""}, config=file)
    assert read.settings.http is None
    assert read.settings.mqtt is None
    assert read.settings.log_level == "debug"
    assert read.settings.admin_password is None


def test_everything_wrong_is_said_at_once_with_place_and_reason(toml):
    """One start shows all mistakes: variables by name, the file's by line."""
    file = toml(BROKEN)
    assert refused({"MUSTER_HTTTP": "1", "MUSTER_WORKERS": "65"}, config=file) == [
        "MUSTER_HTTTP: there is no such setting. Did you mean MUSTER_HTTP?",
        f"{file}, line 3: there is no setting worker. Did you mean workers?",
        f"{file}, line 8: there is no setting more.",
        f"{file}, line 5: expected one of debug, info, warning, error, not 'loud'",
        "MUSTER_WORKERS: Expected `int` <= 64, not '65'",
        f"{file}, line 2: expected host:port with a port of 0 to 65535, such as 127.0.0.1:8080, not 'a:-1'",
        f"{file}, line 7: expected a string, a whole number, true or false",
        f"{file}, line 10: a NUL character cannot be stored, not 'a\\x00'",
    ]


def test_what_settings_say_of_each_other_is_said_at_once_too():
    """Beside what cannot be read, but nothing about a default that merely stands in for it."""
    environ = {
        "MUSTER_HTTP": "nonsense",
        "MUSTER_MQTT": "127.0.0.1:8080",
        "MUSTER_PASSWORD_REGEX": "(",
        "MUSTER_PUBLIC_URL": "example.com",
        "MUSTER_ADMIN_EMAIL": "nobody",
    }
    assert [reason.partition(",")[0] for reason in refused(environ)] == [
        "MUSTER_HTTP: expected host:port with a port of 0 to 65535",
        "MUSTER_ADMIN_EMAIL: expected an e-mail address such as jane@example.com",
        "MUSTER_PUBLIC_URL: expected an address such as https://muster.example.com",
        "MUSTER_PASSWORD_REGEX: this is no regular expression: missing )",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a = 1\nb =\n", "line 2: this is not TOML"),
        (b'a = """\nlost\n', "line "),
        (b"a = 1\nb = '\xff'\n", "line 2: this is not UTF-8 text"),
        (b"a = 1\na = 2\n", "line 2: this is not TOML"),
        (b"a = " + b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_broken_file_stops_the_start_with_its_line(tmp_path, text, expected):
    """Never a silent default."""
    path = tmp_path / "muster.toml"
    path.write_bytes(text)
    (said,) = refused({}, config=path)
    assert said.startswith(str(path))
    assert expected in said


def test_a_file_that_is_named_must_be_there(tmp_path):
    """Whoever names it relies on it."""
    assert refused({}, config=tmp_path / "no.toml") == [
        f"{tmp_path / 'no.toml'}: cannot be read: No such file or directory"
    ]
    assert refused({"MUSTER_CONFIG": str(tmp_path)}) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_what_a_cluster_adds_to_the_environment_is_no_mistake():
    """Kubernetes adds these for a service that is called muster; others are typing errors."""
    environ = {
        "MUSTER_SERVICE_HOST": "10.0.0.1",
        "MUSTER_SERVICE_PORT": "8080",
        "MUSTER_SERVICE_PORT_HTTP": "8080",
        "MUSTER_PORT": "tcp://10.0.0.1:8080",
        "MUSTER_PORT_8080_TCP_ADDR": "10.0.0.1",
        "MUSTER_DB_PORT_5432_TCP": "tcp://10.0.0.2:5432",
        "MUSTER_TOKEN": "of the command line",
    }
    assert accepted(environ).settings == Settings()
    assert refused({"MUSTER_PORT_HTTP": "1"})[0].startswith("MUSTER_PORT_HTTP: there is no such setting.")


@pytest.mark.parametrize(
    ("environ", "where", "reason"),
    [
        ({"MUSTER_WORKERS": "2"}, "MUSTER_WORKERS", "need PostgreSQL"),
        ({"MUSTER_MQTT": "127.0.0.1:8080"}, "MUSTER_MQTT", "127.0.0.1:8080 is taken by http"),
        ({"MUSTER_MQTT": "0.0.0.0:8083"}, "MUSTER_MQTT_WS", "is taken by mqtt"),
        ({"MUSTER_HTTP": "", "MUSTER_UPSTREAM_PORTS": "yes"}, "MUSTER_UPSTREAM_PORTS", "which is off"),
        ({"MUSTER_PUBLIC_URL": "muster.example.com"}, "MUSTER_PUBLIC_URL", "such as https://"),
        ({"MUSTER_PUBLIC_URL": "http://[::1"}, "MUSTER_PUBLIC_URL", "such as https://"),
        ({"MUSTER_TLS_CERTIFICATE": "a.pem"}, "MUSTER_TLS_CERTIFICATE", "tls_key"),
        ({"MUSTER_TLS_KEY": "a.pem"}, "MUSTER_TLS_KEY", "tls_certificate"),
        ({"MUSTER_NATS_URL": "http://b:4222"}, "MUSTER_NATS_URL", "expected nats://host:4222"),
        ({"MUSTER_NATS_URL": "nats://a, ws://b"}, "MUSTER_NATS_URL", "expected nats://host:4222"),
        ({"MUSTER_NATS_MQTT": "b:1883"}, "MUSTER_NATS_MQTT", "nats_url, which is empty"),
        ({"MUSTER_NATS_URL": "nats://b", "MUSTER_NATS_BINARY": "n"}, "MUSTER_NATS_BINARY", "names a cluster"),
        ({"MUSTER_DATABASE_URL": "mysql://a:b@c/d"}, "MUSTER_DATABASE_URL", "expected postgresql://"),
        ({"MUSTER_DATABASE_URL": "muster.db"}, "MUSTER_DATABASE_URL", "expected an address"),
        ({"MUSTER_BOOTSTRAP_ENCRYPT_KEY": "short"}, "MUSTER_BOOTSTRAP_ENCRYPT_KEY", "16, 24 or 32 bytes"),
        ({"MUSTER_ADMIN_PASSWORD": "seven77"}, "MUSTER_ADMIN_PASSWORD", "does not match password_regex"),
        ({"MG_USERS_ADMIN_PASSWORD": "12345678"}, "MG_USERS_ADMIN_PASSWORD", "everybody knows it"),
        ({"MUSTER_ADMIN_EMAIL": "nobody"}, "MUSTER_ADMIN_EMAIL", "'nobody'"),
        ({"MUSTER_PASSWORD_REGEX": "("}, "MUSTER_PASSWORD_REGEX", "no regular expression"),
        ({"MUSTER_ACCESS_TOKEN_LIFETIME": "0"}, "MUSTER_ACCESS_TOKEN_LIFETIME", "at least 1s"),
        (
            {"MUSTER_ACCESS_TOKEN_LIFETIME": "25h"},
            "MUSTER_REFRESH_TOKEN_LIFETIME",
            "ends before the access token",
        ),
        ({"MUSTER_MAX_BODY_BYTES": "1MiB"}, "MUSTER_MAX_CONTENT_BYTES", "max_body_bytes (1MiB)"),
        ({"MUSTER_MAX_BULK": "0"}, "MUSTER_MAX_BULK", ">= 1"),
        ({"MUSTER_MAX_BULK": "1_000"}, "MUSTER_MAX_BULK", "a whole number"),
        ({**VAULT, "MUSTER_VAULT_ADDR": "v:8200"}, "MUSTER_VAULT_ADDR", "such as https://"),
        ({**VAULT, "MUSTER_VAULT_TOKEN": ""}, "MUSTER_VAULT_TOKEN", "Vault needs it"),
        ({**VAULT, "MUSTER_VAULT_ROLE": ""}, "MUSTER_VAULT_ROLE", "Vault needs it"),
    ],
)
def test_what_cannot_work_is_refused(environ, where, reason):
    """The variable is named, or the one that is missing, and the reason."""
    (said,) = refused(environ)
    assert said.startswith(f"{where}: ")
    assert reason in said


@pytest.mark.parametrize("key", sorted(PUBLISHED_KEYS))
def test_the_keys_upstream_publishes_are_refused(key):
    """They protect nothing, whichever variable brings them."""
    assert refused({"MG_BOOTSTRAP_ENCRYPT_KEY": key}) == [
        "MG_BOOTSTRAP_ENCRYPT_KEY: this is the key upstream publishes; make one: openssl rand -hex 16"
    ]


def test_what_upstream_calls_otherwise_is_read():
    """An existing compose file keeps working."""
    read = accepted(
        {
            "MF_CERTS_VAULT_HOST": "http://vault:8200",
            "MF_CERTS_VAULT_TOKEN": "hvs.x",
            "MF_CERTS_VAULT_PKI_PATH": "pki",
            "MF_CERTS_VAULT_ROLE": "mainflux",
            "MG_USERS_ALLOW_SELF_REGISTER": "false",
            "MG_USERS_PASS_REGEX": "^.{10,}$",
            "MG_USERS_ADMIN_USERNAME": "root",
            "MG_AUTH_SECRET_KEY": "s3cret",
        }
    )
    settings = read.settings
    assert (settings.vault_addr, settings.vault_pki_path, settings.vault_role) == (
        "http://vault:8200",
        "pki",
        "mainflux",
    )
    assert settings.vault_token == Secret("hvs.x")
    assert settings.self_register is False
    assert settings.admin_username == "root"
    assert settings.password_pattern.fullmatch("0123456789") is not None
    assert settings.password_pattern.fullmatch("012345678") is None
    assert read.notices == ("ignored, Muster makes its own signing keys: MG_AUTH_SECRET_KEY",)


def test_a_secret_can_come_from_a_file(tmp_path):
    """As container secrets do; the line end does not belong to it."""
    file = tmp_path / "password"
    file.write_text("correct horse \n")
    read = accepted({"MUSTER_ADMIN_PASSWORD_FILE": str(file)})
    assert read.settings.admin_password == Secret("correct horse ")
    assert refused({"MUSTER_ADMIN_PASSWORD_FILE": str(tmp_path)}) == [
        f"MUSTER_ADMIN_PASSWORD_FILE: {tmp_path} cannot be read: Is a directory"
    ]
    assert refused({"MUSTER_HTTP_FILE": "x"})[0].startswith("MUSTER_HTTP_FILE: there is no such setting.")


def test_no_secret_is_shown_anywhere():
    """Neither in the rows, nor in a representation, nor in an error."""
    plain = "s3cret-and-long-enough-for-anything"
    environ = {
        "MUSTER_MASTER_KEY": plain,
        "MUSTER_ADMIN_PASSWORD": plain,
        "MUSTER_DATABASE_URL": f"postgresql://muster:{plain}@db/muster",
        "MUSTER_NATS_URL": f"nats://{plain}@broker:4222",
        "MG_PROVISION_USER": "jane",
        "MG_PROVISION_PASS": plain,
        "MG_PROVISION_API_KEY": plain,
    }
    read = accepted(environ)
    assert plain not in repr(read)
    assert plain not in repr(read.effective())
    rows = {row.name: row.value for row in read.effective()}
    assert (rows["master_key"], rows["database_url"]) == ("…", "postgresql://db/muster")
    assert rows["bootstrap_encrypt_key"] == ""
    broken = {**environ, "MUSTER_BOOTSTRAP_ENCRYPT_KEY": plain, "MUSTER_DATABASE_URL": plain}
    assert plain not in "\n".join(refused({**broken, "MG_PROVISION_USER": ""}))


def test_the_settings_cannot_be_changed():
    """They are read once and shared by all."""
    with pytest.raises(AttributeError):
        Settings().workers = 2
    assert msgspec.structs.replace(Settings(), workers=2).workers == 2


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"MUSTER_HTTP": "[::]:80"}, "http://[::1]:80"),
        ({"MUSTER_HTTP": "", "MUSTER_HTTPS": "muster.example.com:443"}, "https://muster.example.com:443"),
        ({"MUSTER_PUBLIC_URL": "https://iot.example.com/muster/"}, "https://iot.example.com/muster"),
        ({"MUSTER_HTTP": ""}, "https://127.0.0.1:8443"),
        ({"MUSTER_HTTP": "", "MUSTER_HTTPS": ""}, ""),
    ],
)
def test_links_lead_to_where_the_api_is(environ, expected):
    """The public address, else the one it listens on."""
    assert accepted(environ).settings.base_url == expected


def test_the_database_is_a_file_unless_it_is_named():
    """SQLite in the data folder."""
    assert accepted({"MUSTER_DATA_DIR": "/srv/m"}).settings.sqlite_file == Path("/srv/m/muster.db")


def places(environ, **others) -> list[str]:
    try:
        accepted(environ, **others)
    except SettingsError as error:
        return [problem.where for problem in error.problems]
    return []


NAMES = st.sampled_from([field.variable for field in FIELDS])
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=30)


@given(NAMES, TEXTS)
def test_any_text_is_read_or_refused_with_its_variable(variable, text):
    """No value of any variable ends in anything but a value or a reason."""
    known = {field.variable for field in FIELDS} | {str(Path(text.strip()))}
    assert set(places({variable: text})) <= known


@given(st.text(max_size=200))
def test_any_file_is_read_or_refused(text):
    """No file ends in a traceback."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(text.encode())
        file.flush()
        found = places({}, config=Path(file.name))
        assert [place for place in found if not place.startswith(file.name)] == []
