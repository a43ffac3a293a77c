"""The provision service's settings, in every spelling upstream ever had (spec C.1, C.2, C.6 16, I 8, 10)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.core.layout import DEFAULT, KeyType
from muster.core.model import Secret
from muster.settings import SettingsError, load
from muster.settings.spellings import OTHER_SERVICES, OWN_PROCESS, VARIABLES

SERVICES = "ignored, Muster is all of these services itself"
PROCESS = "ignored, Muster's own settings decide (ports, log level, TLS)"
NOWHERE = Path("/nonexistent")

# The layout printed in upstream's documentation, shortened.
DOCUMENTED = """
[bootstrap]
  [bootstrap.content]
    [bootstrap.content.agent.mqtt]
      mtls = false
      qos = 0
      url = "localhost:1883"

    [[bootstrap.content.export.routes]]
      type = "mfx"
      workers = 10

[[clients]]
  name = "client"

  [clients.metadata]
    external_id = "xxxxxx"

[[channels]]
  name = "control-channel"

  [channels.metadata]
    type = "control"

[[channels]]
  name = "export-channel"

  [channels.metadata]
    type = "export"
"""

# The form of upstream's own sample, with all its harmless oddities.
SAMPLE = """
file = "config.toml"

[bootstrap]
  autowhite_list = true
  content = ""
  provision = true
  x509_provision = false

[server]
  LogLevel = "info"
  ca_certs = ""
  http_port = "8190"
  mf_api_key = ""
  mf_bs_url = "http://localhost:8202"
  mf_pass = ""
  mf_user = ""
  mf_white_list = "http://localhost:8202/things/state"
  mqtt_url = ""
  server_cert = ""
  server_key = ""
  things_location = "http://localhost:8182"
  tls = true

[[things]]
  name = "thing"

  [things.metadata]
    external_id = "xxxxxx"

[[channels]]
  name = "control-channel"

  [channels.metadata]
    type = "control"
"""
LAYOUT = '[[clients]]\nname = "a"\n[[channels]]\nname = "b"\n'


@pytest.fixture
def toml(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def read(environ=None, file=None):
    named = {"MUSTER_PROVISION_FILE": str(file)} if file else {}
    return load({**(environ or {}), **named}, folder=NOWHERE).provision


def refused(environ=None, file=None) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        read(environ, file)
    return str(refusal.value).splitlines()


def test_without_settings_it_is_upstreams_default():
    """One client, two channels, a bootstrap configuration, whitelisted, nobody configured."""
    found = read()
    assert found.layout == DEFAULT
    assert (found.vocabulary, found.vocabulary_from, found.has_own_layout) == ("clients", "default", False)
    assert (found.login, found.password, found.api_key, found.domain_id) == ("", None, None, "")
    assert found.notices == ()


def test_the_documented_file_is_read_whole(toml):
    """Content, devices and channels, in the order they are listed."""
    found = read(file=toml(DOCUMENTED))
    assert [each.name for each in found.layout.devices] == ["client"]
    assert [each.type for each in found.layout.channels] == ["control", "export"]
    assert found.layout.content == {
        "agent": {"mqtt": {"mtls": False, "qos": 0, "url": "localhost:1883"}},
        "export": {"routes": [{"type": "mfx", "workers": 10}]},
    }
    assert (found.has_own_layout, found.vocabulary, found.vocabulary_from) == (True, "clients", "[[clients]]")
    assert found.notices == ()


def test_upstreams_sample_file_is_read_and_what_means_nothing_is_named(toml):
    """Its empty content, its LogLevel and the addresses of services stop nothing."""
    file = toml(SAMPLE)
    found = read(file=file)
    assert [(each.name, each.metadata) for each in found.layout.devices] == [
        ("thing", {"external_id": "xxxxxx"})
    ]
    assert found.layout.content is None
    assert (found.vocabulary, found.vocabulary_from) == ("things", "[[things]]")
    assert found.notices == (
        f"{file}: {SERVICES}: server.mf_bs_url, server.mf_white_list, server.things_location",
        f"{file}: {PROCESS}: server.LogLevel, server.http_port, server.tls",
    )


@pytest.mark.parametrize("prefix", ["MG_", "SMQ_", "MF_"])
@pytest.mark.parametrize(
    ("suffix", "text", "expected"),
    [
        ("USER", "jane", ("username", "jane")),
        ("USERNAME", "jane", ("username", "jane")),
        ("EMAIL", "jane@example.com", ("email", "jane@example.com")),
        ("PASS", "secret", ("password", Secret("secret"))),
        ("PASSWORD", "secret", ("password", Secret("secret"))),
        ("API_KEY", "key", ("api_key", Secret("key"))),
        ("DOMAIN_ID", "d-1", ("domain_id", "d-1")),
    ],
)
def test_every_spelling_of_a_login_is_read(prefix, suffix, text, expected):
    """After each of upstream's three names for itself; the documented ones, and those of its code."""
    environ = {f"{prefix}PROVISION_{suffix}": text}
    if suffix in {"USER", "USERNAME", "EMAIL"}:
        environ["MG_PROVISION_PASS"] = "x"
    if suffix in {"PASS", "PASSWORD"}:
        environ["MG_PROVISION_USER"] = "x"
    assert getattr(read(environ), expected[0]) == expected[1]


@pytest.mark.parametrize(
    ("suffix", "text", "expected"),
    [
        ("X509_PROVISIONING", "true", {"makes_certificates": True}),
        ("BS_AUTO_WHITELIST", "false", {"is_whitelisted": False}),
        ("BS_AUTO_WHITEIST", "false", {"is_whitelisted": False}),
        ("BS_CONTENT", '{"a": [1, null]}', {"content": {"a": [1, None]}}),
        ("BS_CONTENT", "{}", {"content": {}}),
        ("BS_CONTENT", "", {"content": None}),
        ("CERTS_HOURS_VALID", "48h", {"certificate_ttl_hours": 48}),
        ("CERTS_RSA_BITS", "4096", {"key_type": KeyType.RSA, "key_bits": 4096}),
    ],
)
def test_every_variable_of_the_layout_is_read(suffix, text, expected):
    """What only the environment says goes into the layout."""
    layout = read({f"MF_PROVISION_{suffix}": text}).layout
    assert {name: getattr(layout, name) for name in expected} == expected


def test_the_prefixes_count_in_the_order_of_upstreams_names():
    """MG_, then SMQ_, then MF_; within one, the spelling of the code before that of the documents."""
    environ = {
        "MF_PROVISION_DOMAIN_ID": "mf",
        "SMQ_PROVISION_DOMAIN_ID": "smq",
        "SMQ_PROVISION_PASS": "of the code",
        "SMQ_PROVISION_PASSWORD": "of the documents",
        "MF_PROVISION_USER": "mf",
        "MG_PROVISION_USER": "",
    }
    found = read(environ)
    assert (found.domain_id, found.password, found.username) == ("smq", Secret("of the code"), "mf")
    assert read({**environ, "MG_PROVISION_DOMAIN_ID": "mg"}).domain_id == "mg"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"MF_PROVISION_X509_PROVISIONING": "false"}, ("things", "MF_PROVISION_*")),
        ({"MF_PROVISION_CONFIG_FILE": "FILE"}, ("things", "MF_PROVISION_*")),
        ({"MG_PROVISION_DOMAIN_ID": "d"}, ("clients", "MG_PROVISION_*")),
        ({"MF_PROVISION_DOMAIN_ID": "d", "SMQ_PROVISION_DOMAIN_ID": "d"}, ("clients", "SMQ_PROVISION_*")),
        ({"MF_PROVISION_DOMAIN_ID": ""}, ("clients", "default")),
        ({"MF_BOOTSTRAP_ENCRYPT_KEY": "0123456789abcdef"}, ("clients", "default")),
    ],
)
def test_the_prefix_decides_the_words_when_no_table_does(toml, environ, expected):
    """A /mapping without any header is answered in the words its configuration is written in."""
    file = str(toml("[bootstrap]\nprovision = true\n"))
    found = read({name: text.replace("FILE", file) for name, text in environ.items()})
    assert (found.vocabulary, found.vocabulary_from) == expected
    assert found.layout.devices[0].name == expected[0].removesuffix("s")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LAYOUT, ("clients", "[[clients]]")),
        (LAYOUT.replace("clients", "things"), ("things", "[[things]]")),
        ('[server]\nmf_user = "a"\nmf_pass = "b"\n', ("things", "mf_* in [server]")),
        ('[server]\nMG_user = "a"\nMG_pass = "b"\n', ("clients", "mg_* in [server]")),
    ],
)
def test_the_file_decides_the_words_before_the_environment(toml, text, expected):
    """The layout's table first, then the keys of [server]."""
    found = read({"MF_PROVISION_DOMAIN_ID": "d", "MG_PROVISION_API_KEY": "k"}, toml(text))
    assert (found.vocabulary, found.vocabulary_from) == expected


@pytest.mark.parametrize("prefix", ["mg_", "smq_", "mf_", "MG_"])
def test_every_spelling_of_the_server_table_is_read(toml, prefix):
    """Whatever the case."""
    file = toml(
        f'[server]\n{prefix}user = "jane"\n{prefix}email = "j@x.org"\n{prefix}pass = "p"\n'
        f'{prefix}api_key = "k"\n{prefix}domain_id = "d"\n'
    )
    found = read(file=file)
    assert (found.username, found.email, found.domain_id) == ("jane", "j@x.org", "d")
    assert (found.password, found.api_key) == (Secret("p"), Secret("k"))
    assert found.login == "jane"


def test_the_newest_prefix_of_the_server_table_counts(toml):
    """As in the environment."""
    file = toml('[server]\nmf_api_key = "mf"\nsmq_api_key = "smq"\nmg_api_key = ""\n')
    assert read(file=file).api_key == Secret("smq")


def test_the_file_counts_before_the_environment_and_blanks_are_filled(toml):
    """Upstream's rule of merging, spec C.2."""
    file = toml('[server]\nmg_user = "file"\nmg_pass = ""\n[cert]\nttl = "1h"\n')
    environ = {
        "MG_PROVISION_USER": "environment",
        "MG_PROVISION_PASS": "environment",
        "MG_PROVISION_CERTS_HOURS_VALID": "2h",
        "MG_PROVISION_BS_CONTENT": '{"a": 1}',
    }
    found = read(environ, file)
    assert (found.username, found.password) == ("file", Secret("environment"))
    assert found.layout.certificate_ttl_hours == 1
    assert found.layout.content == {"a": 1}


@pytest.mark.parametrize(
    ("key", "variable", "field"),
    [
        ("provision", "BS_CONFIG_PROVISIONING", "makes_bootstrap"),
        ("autowhite_list", "BS_AUTO_WHITELIST", "is_whitelisted"),
        ("x509_provision", "X509_PROVISIONING", "makes_certificates"),
    ],
)
@pytest.mark.parametrize("in_file", [True, False, None])
@pytest.mark.parametrize("in_environment", [True, False, None])
def test_a_boolean_has_three_states(toml, key, variable, field, in_file, in_environment):
    """True, false and unsaid; false in the file is not unsaid, unlike upstream (spec C.6, 16)."""
    said = {key: in_file, "autowhite_list": in_file if key == "autowhite_list" else False}
    lines = [f"{name} = {str(value).lower()}" for name, value in said.items() if value is not None]
    environ = {} if in_environment is None else {f"MG_PROVISION_{variable}": str(in_environment)}
    layout = read(environ, toml("\n".join(["[bootstrap]", *lines]))).layout
    default = getattr(DEFAULT, field)
    expected = next((value for value in (in_file, in_environment) if value is not None), default)
    assert getattr(layout, field) is expected


@pytest.mark.parametrize(
    "text",
    [
        'content = "{\\"a\\": 1}"',
        "content = { a = 1 }",
        "[bootstrap.content]\na = 1",
    ],
)
def test_content_is_a_table_or_json_text(toml, text):
    """Upstream's older files have text, and its newer ones a table."""
    assert read(file=toml(f"[bootstrap]\n{text}\n")).layout.content == {"a": 1}


def test_dates_become_text(toml):
    """JSON has none."""
    content = read(
        file=toml("[bootstrap.content]\nsince = 2025-02-13T21:19:38Z\nday = 2025-02-13\n")
    ).layout.content
    assert content == {"since": "2025-02-13T21:19:38+00:00", "day": "2025-02-13"}
    assert json.loads(json.dumps(content)) == content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[certs]\nkey_type = "rsa"', (KeyType.RSA, 2048)),
        ('[certs]\nkey_type = "RSA"\nkey_bits = 4096', (KeyType.RSA, 4096)),
        ('[certs]\nkey_type = "ec"\nkey_bits = "384"', (KeyType.EC, 384)),
        ('[cert]\nkey_type = "ed25519"', (KeyType.ED25519, 256)),
        ("[certs]\nkey_bits = 3072", (KeyType.RSA, 3072)),
        ("[certs]\nkey_bits = 256", (KeyType.EC, 256)),
        ('[certs]\nhours_valid = "1h"', (KeyType.RSA, 4096)),
    ],
)
def test_kind_and_size_of_keys_fit(toml, text, expected):
    """The variable CERTS_RSA_BITS says nothing of other keys than RSA."""
    layout = read(
        {"MF_PROVISION_CERTS_RSA_BITS": "4096"} if "hours" in text or "ec" in text else {}, toml(text)
    ).layout
    assert (layout.key_type, layout.key_bits) == expected


@pytest.mark.parametrize(
    ("line", "hours"),
    [('ttl = "10h"', 10), ('hours_valid = "2400h"', 2400), ('days_valid = "2"', 48), ("days_valid = 2", 48)],
)
def test_the_lifetime_of_certificates_has_three_spellings(toml, line, hours):
    """In hours as a duration, or in days."""
    assert read(file=toml(f"[certs]\n{line}\n")).layout.certificate_ttl_hours == hours


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[client.metadata]\nexternal_id = 'x'\n" + LAYOUT, 1, "[client…] is lost: write [[clients]]"),
        (LAYOUT + "\n[channel.metadata]\ntype = 'data'\n", 6, "[channel…] is lost: write [[channels]]"),
        ("[bootstrap]\ncontent = 'text'\n", 2, "this is not JSON that can be stored"),
        ("[bootstrap]\ncontent = '[1]'\n", 2, "expected a JSON object"),
        ("[bootstrap]\ncontent = '{\"a\": NaN}'\n", 2, "NaN is no JSON number"),
        ("[bootstrap]\ncontent = 5\n", 2, "expected a JSON object"),
        ("[bootstrap.content]\na = 1\n[bootstrap.content.b]\nc = nan\n", 4, "JSON has no number nan"),
        ('[bootstrap.content]\na = "\\u0000"\n', 2, "a NUL character"),
        ("[bootstrap.content]\nx = [1,\n [2, inf]]\n", 2, "JSON has no number inf"),
        ("[bootstrap]\ncontent = '{\"a\": 1e999}'\n", 2, "JSON has no number inf"),
        ("[[clients]]\nname = 'a'\n[clients.metadata]\nb.c = nan\n[[channels]]\n", 4, "no number nan"),
        ("[bootstrap]\nprovision = 'perhaps'\n", 2, "expected true or false"),
        ("[bootstrap]\nprovision = 1\n", 2, "expected a string"),
        ("[bootstrap]\nprovison = false\n", 2, "[bootstrap] has no key provison. Did you mean provision?"),
        ("[bootstrap]\nprofile_id = 'p'\n", 2, "later upstream's"),
        ("[[bootstrap.bindings]]\nslot = 's'\n", 1, "later upstream's"),
        ("[server]\nserver_cert = 'a.pem'\n", 2, "MUSTER_HTTPS"),
        ("[server]\nmg_usr = 'a'\n", 2, "[server] has no key mg_usr. Did you mean mg_user?"),
        ("[server]\nmg_domain_id = 5\n", 2, "expected a string"),
        ("server = 1\n", 1, "expected a table, [server]"),
        ("[bootstap]\n", 1, "nothing here is called bootstap. Did you mean bootstrap?"),
        (
            "[[clients]]\nname = 'a'\ntype = 'control'\n[[channels]]\n",
            3,
            "Is it meant for [clients.metadata]?",
        ),
        ("[[clients]]\n[[clients]]\nname = 5\n[[channels]]\n", 3, "expected a string"),
        ("[[clients]]\nname = '" + "ä" * 513 + "'\n[[channels]]\n", 2, "at most 1024 bytes"),
        ("[[clients]]\nmetadata = 'x'\n[[channels]]\n", 2, "expected a table"),
        ("[clients]\nname = 'x'\n[[channels]]\n", 1, "expected a list of tables, [[clients]]"),
        ("[[things]]\n" + LAYOUT, 2, "not both"),
        ("[certs]\nkey_type = 'dsa'\n", 2, "expected rsa, ec or ed25519"),
        ("[certs]\nkey_bits = 1024\n", 2, "2048 or 3072 or 4096 bits, not 1024"),
        ("[certs]\nkey_type = 'ec'\nkey_bits = 2048\n", 3, "256 or 384 bits, not 2048"),
        ("[certs]\nkey_bits = true\n", 2, "expected a number of bits"),
        ("[certs]\nttl = 'abc'\n", 2, "expected a duration"),
        ("[certs]\nttl = '-1h'\n", 2, "expected a duration"),
        ("[certs]\nttl = '1000000000h'\n", 2, "longer than a century"),
        ("[certs]\nttl = '0'\n", 2, "valid for some time"),
        ("[certs]\ndays_valid = 1.5\n", 2, "expected a number of days"),
        ("[certs]\nttl = '1h'\ndays_valid = 2\n", 3, "line 2 says something else"),
        ("[certs]\nlifetime = '1h'\n", 2, "[certs] has no key lifetime"),
        ("[bootstrap]\nprovision = false\n", 2, "cannot be whitelisted"),
        ("[bootstrap]\nprovision = false\nautowhite_list = true\n", 2, "cannot be whitelisted"),
        ("[server]\nmg_user = 'jane'\n", 2, "the password of this user is missing"),
        ("[server]\nmg_pass = 'x'\n", 2, "the user of this password is missing"),
    ],
)
def test_what_would_be_lost_or_cannot_be_honoured_stops_the_start(toml, text, line, reason):
    """With file, line and reason; nothing is skipped in silence."""
    file = toml(text)
    said = [each for each in refused(file=file) if "is missing: a layout" not in each]
    assert [each.partition(": ")[0] for each in said] == [f"{file}, line {line}"]
    assert reason in said[0]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("[[clients]]\nname = 'a'\n", "channels"),
        ("[[channels]]\nname = 'a'\n", "clients"),
        ("clients = []\nchannels = []\n", "clients"),
    ],
)
def test_a_layout_with_half_its_tables_stops_the_start(toml, text, missing):
    """Upstream fails every request of such a file (spec C.2)."""
    file = toml(text)
    assert f"{file}: [[{missing}]] is missing: a layout has at least one of each" in refused(file=file)


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("MG_PROVISION_PASWORD", "secret", "Did you mean MG_PROVISION_PASSWORD?"),
        ("MF_PROVISION_BS_CONTENT", "{", "this is not JSON that can be stored"),
        ("MG_PROVISION_X509_PROVISIONING", "maybe", "expected true or false"),
        ("MG_PROVISION_CERTS_HOURS_VALID", "2400", "expected a duration"),
        ("MG_PROVISION_CERTS_RSA_BITS", "1024", "not 1024"),
        ("MG_PROVISION_SERVER_KEY", "key.pem", "MUSTER_TLS_CERTIFICATE"),
        ("MG_PROVISION_BS_PROFILE_ID", "p", "later upstream's"),
        ("MG_PROVISION_BS_CONFIG_PROVISIONING", "false", "cannot be whitelisted"),
        ("MG_PROVISION_USER", "jane", "the password of this user is missing"),
    ],
)
def test_a_wrong_variable_stops_the_start_by_its_name(variable, text, reason):
    """And never shows a secret's value."""
    (said,) = refused({variable: text})
    assert said.startswith(f"{variable}: ")
    assert reason in said


def test_what_is_switched_off_together_is_accepted(toml):
    """Neither bootstrap configuration nor whitelisting: upstream could not do it (spec C.6, 6)."""
    file = toml("[bootstrap]\nprovision = false\nautowhite_list = false\n")
    layout = read(file=file).layout
    assert (layout.makes_bootstrap, layout.is_whitelisted) == (False, False)
    assert (
        read({"MG_PROVISION_BS_AUTO_WHITELIST": "0", "MG_PROVISION_BS_CONFIG_PROVISIONING": "0"}).layout
        == layout
    )


def test_addresses_of_other_services_are_ignored_in_one_line():
    """Muster is all of them. What a cluster adds, and what is empty, is not worth a line."""
    environ = {
        "MG_PROVISION_USERS_LOCATION": "http://users:9002",
        "MG_PROVISION_BS_SVC_URL": "http://bootstrap:9013",
        "MG_PROVISION_CERTS_SVC_URL": "",
        "MG_PROVISION_HTTP_PORT": "9016",
        "MG_PROVISION_SERVICE_HOST": "10.0.0.1",
        "MG_PROVISION_PORT_9016_TCP": "tcp://10.0.0.1:9016",
    }
    assert read(environ).notices == (
        f"{SERVICES}: MG_PROVISION_BS_SVC_URL, MG_PROVISION_USERS_LOCATION",
        f"{PROCESS}: MG_PROVISION_HTTP_PORT",
    )


def test_no_variable_has_two_meanings():
    """Each suffix is read, ignored or refused."""
    assert set(VARIABLES) & OTHER_SERVICES == set()
    assert (set(VARIABLES) | OTHER_SERVICES) & OWN_PROCESS == set()


def test_a_layout_without_external_id_or_with_two_is_remarked(toml):
    """Both are allowed, and both are mostly mistakes."""
    none, two = toml(LAYOUT), LAYOUT + "[[clients]]\nname='c'\nmetadata.external_id=''\n"
    assert "so no bootstrap configuration is made" in read(file=none).notices[0]
    both = toml(two.replace('"a"\n', '"a"\nmetadata.external_id=""\n'))
    assert "the first one gets the bootstrap configuration" in read(file=both).notices[0]


def test_the_default_device_is_named_as_each_dialect_names_it(toml):
    """A layout of the operator's own is the same for all."""
    found = read({"MG_PROVISION_X509_PROVISIONING": "true"})
    assert [found.layout_for(words).devices[0].name for words in ("clients", "things")] == ["client", "thing"]
    assert found.layout_for("things").makes_certificates is True
    own = read(file=toml(LAYOUT))
    assert own.layout_for("things") == own.layout


def test_the_file_is_found_where_upstream_looks(tmp_path, toml):
    """config.toml in the working folder, unless a variable names another; a named one must be there."""
    toml(LAYOUT)
    assert load({}, folder=tmp_path).provision.has_own_layout is True
    assert load(
        {"MF_PROVISION_CONFIG_FILE": str(tmp_path / "config.toml")}, folder=NOWHERE
    ).provision.has_own_layout
    missing = tmp_path / "other.toml"
    assert refused({"SMQ_PROVISION_CONFIG_FILE": str(missing)}) == [
        f"{missing}: cannot be read: No such file or directory"
    ]


def test_the_whole_of_it_is_shown_without_secrets(toml):
    """`muster config` says what was decided and where."""
    file = toml(LAYOUT + '[server]\nmg_user = "jane"\n[cert]\nttl = "36h"\n')
    environ = {"MUSTER_PROVISION_FILE": str(file), "MG_PROVISION_PASS": "s3cret"}
    rows = {row.name: (row.value, row.source) for row in load(environ, folder=NOWHERE).effective()}
    assert rows["provision.devices"] == ("a", str(file))
    assert rows["provision.channels"] == ("b", str(file))
    assert rows["provision.username"] == ("jane", f"{file}, line 6")
    assert rows["provision.password"] == ("…", "MG_PROVISION_PASS")
    assert rows["provision.ttl"] == ("36h", f"{file}, line 8")
    assert rows["provision.x509"] == ("false", "default")
    assert rows["provision.vocabulary"] == ("clients", "[[clients]]")


WORDS = st.sampled_from(
    ["server", "bootstrap", "clients", "things", "channels", "certs", "content", "metadata", "name"]
)
VALUES = st.sampled_from(
    ["1", "'x'", "true", "[]", "{}", "[[1]]", "[{}]", "{metadata = {a = 1}}", "nan", "''"]
)


@given(st.dictionaries(WORDS, VALUES))
def test_any_file_is_read_or_refused_line_by_line(tmp_path_factory, tables):
    """Values of the wrong shape end in a reason, never in a traceback."""
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text("".join(f"{name} = {value}\n" for name, value in tables.items()))
    try:
        found = [str(read(file=file).file)]
    except SettingsError as error:
        found = [problem.where for problem in error.problems]
    assert [place for place in found if not place.startswith(str(file))] == []
