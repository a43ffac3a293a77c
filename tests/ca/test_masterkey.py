"""The master key is random, private, and made once."""

import os
import threading
from base64 import b64encode, urlsafe_b64encode

import pytest

from muster.ca.masterkey import (
    MasterKeyRefused,
    load_master_keys,
    load_or_make_master_keys,
    make_master_key,
    parse_master_keys,
)


def test_a_key_file_is_private_and_read_back(tmp_path):
    """First start makes it with mode 0600; later starts read the same key."""
    path = tmp_path / "master.key"
    keys = load_or_make_master_keys(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make_master_keys(path) == keys
    assert len(keys[0]) == 32
    assert [file.name for file in tmp_path.iterdir()] == ["master.key"]


def test_the_mode_does_not_depend_on_the_umask(tmp_path):
    """A wide umask does not open the file to others."""
    before = os.umask(0)
    try:
        make_master_key(tmp_path / "master.key")
    finally:
        os.umask(before)
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600


def test_a_key_file_is_never_overwritten(tmp_path):
    """Losing the key loses every sealed value, so making one never replaces another."""
    path = tmp_path / "master.key"
    key = make_master_key(path)
    with pytest.raises(FileExistsError):
        make_master_key(path)
    assert load_master_keys(path) == (key,)


def test_starts_at_the_same_time_agree_on_one_key(tmp_path):
    """Two processes that start on an empty folder use the same key."""
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(load_or_make_master_keys(tmp_path / "k")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o700])
def test_a_file_others_may_use_is_refused(tmp_path, mode):
    """The message says what to do and shows no key."""
    path = tmp_path / "master.key"
    make_master_key(path)
    path.chmod(mode)
    with pytest.raises(MasterKeyRefused, match="chmod 600") as refusal:
        load_master_keys(path)
    assert path.read_text().strip() not in str(refusal.value)


def test_what_is_no_key_file_is_refused(tmp_path):
    """Missing, folder, empty, binary, in a missing folder: a clear refusal."""
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    for path, content in ((empty, b""), (binary, b"\xff\xfe")):
        path.write_bytes(content)
        path.chmod(0o600)
    for path in (tmp_path / "missing", tmp_path, empty, binary):
        with pytest.raises(MasterKeyRefused):
            load_master_keys(path)
    with pytest.raises(MasterKeyRefused):
        load_or_make_master_keys(tmp_path / "no" / "folder")


def test_a_list_names_the_newest_key_first():
    """Commas or line ends, base64 or base64url, padded or not."""
    new, old = os.urandom(32), os.urandom(48)
    value = f" {urlsafe_b64encode(new).decode().rstrip('=')},\n{b64encode(old).decode()}\n"
    assert parse_master_keys(value) == (new, old)


RANDOM = urlsafe_b64encode(os.urandom(32)).decode()


@pytest.mark.parametrize(
    "value",
    [
        "",
        " , ",
        "changeme",
        "?" * 44,
        "a" * 45,
        urlsafe_b64encode(os.urandom(31)).decode(),
        urlsafe_b64encode(os.urandom(2000)).decode(),
        urlsafe_b64encode(bytes(32)).decode(),
        urlsafe_b64encode(b"\xff" * 64).decode(),
        urlsafe_b64encode(bytes(range(32))).decode(),
        urlsafe_b64encode(b"0123456789abcdef0123456789abcdef").decode(),
        urlsafe_b64encode(b"passwordpasswordpasswordpassword").decode(),
        f"{RANDOM},{RANDOM}",
        f"{RANDOM},short",
    ],
    ids=range(14),  # the values are random: xdist compares names
)
def test_weak_master_keys_are_refused(value):
    """Short, constant, counted, repeated or unreadable keys do not start Muster; no key is shown."""
    with pytest.raises(MasterKeyRefused) as refusal:
        parse_master_keys(value)
    assert all(part not in str(refusal.value) for part in value.split(",") if len(part) > 8)
