"""Where the master key comes from: a setting, or a file that only its owner can read, made at first start."""

import os
import secrets
import stat
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from itertools import pairwise
from pathlib import Path

from muster.ca.secrets import MIN_MASTER_KEY
from muster.core.errors import MusterError

_MAX_MASTER_KEY = 1024
_MAX_FILE = 16 * 1024
_MIN_DIFFERENT_BYTES = 20
"""32 random bytes hold 30 different ones on average; fewer than 20 come about less than once in 10**13."""


class MasterKeyRefused(MusterError):
    """The master key cannot be used."""


def parse_master_keys(value: str) -> tuple[bytes, ...]:
    """Read `MUSTER_MASTER_KEY`: base64url (or base64) texts of at least 32 random bytes, newest first.

    They are separated by commas or line ends. MasterKeyRefused, naming the key by its position and never by
    its value, if one is unreadable, short, repeated or evidently not random.
    """
    texts = [text for part in value.split(",") for text in part.split()]
    if not texts:
        raise MasterKeyRefused("the master key is empty; make one with: openssl rand -base64 32")
    keys = tuple(_parse(text, place) for place, text in enumerate(texts, 1))
    if len(set(keys)) < len(keys):
        raise MasterKeyRefused("the master key list names a key twice")
    return keys


def _parse(text: str, place: int) -> bytes:
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        key = b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (Base64Error, ValueError):
        raise MasterKeyRefused(f"master key {place} is not base64url") from None
    if not MIN_MASTER_KEY <= len(key) <= _MAX_MASTER_KEY:
        raise MasterKeyRefused(
            f"master key {place} has {len(key)} bytes; "
            f"between {MIN_MASTER_KEY} and {_MAX_MASTER_KEY} random bytes are needed"
        )
    if _is_weak(key):
        raise MasterKeyRefused(f"master key {place} is not random; make one with: openssl rand -base64 32")
    return key


def _is_weak(key: bytes) -> bool:
    steps = {(b - a) % 256 for a, b in pairwise(key)}
    return len(set(key)) < _MIN_DIFFERENT_BYTES or len(steps) == 1


def load_master_keys(path: Path) -> tuple[bytes, ...]:
    """Read the key file, newest key first. MasterKeyRefused if others than its owner may read or write it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise MasterKeyRefused(f"there is no key file {path}") from None
    except OSError as error:
        raise MasterKeyRefused(f"the key file {path} cannot be read: {error.strerror}") from None
    try:
        _check(os.fstat(descriptor), path)
        content = os.read(descriptor, _MAX_FILE)
    finally:
        os.close(descriptor)
    try:
        return parse_master_keys(content.decode("ascii"))
    except UnicodeDecodeError:
        raise MasterKeyRefused(f"the key file {path} does not hold base64url text") from None
    except MasterKeyRefused as error:
        raise MasterKeyRefused(f"the key file {path} cannot be used: {error.message}") from None


def _check(status: os.stat_result, path: Path) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise MasterKeyRefused(f"the key file {path} is not a file")
    if status.st_uid not in (os.geteuid(), 0):
        raise MasterKeyRefused(f"the key file {path} belongs to another user")
    if mode & 0o177:
        raise MasterKeyRefused(
            f"the key file {path} has mode {mode:04o}; others may read it: chmod 600 {path}"
        )


def make_master_key(path: Path) -> bytes:
    """Write a key file with one fresh random key, mode 0600, durable before this returns.

    The file appears whole or not at all. FileExistsError if it is there already; it is never overwritten.
    """
    key = secrets.token_bytes(MIN_MASTER_KEY)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(urlsafe_b64encode(key) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, it fails if another start was faster
    finally:
        draft.unlink()
    _sync_folder(path.parent)
    return key


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_or_make_master_keys(path: Path) -> tuple[bytes, ...]:
    """Read the key file; at first start make it. Two starts at the same time agree on one key."""
    if not path.exists():
        try:
            make_master_key(path)
        except FileExistsError:
            return load_master_keys(path)
        except OSError as error:
            raise MasterKeyRefused(f"the key file {path} cannot be made: {error.strerror}") from None
    return load_master_keys(path)
