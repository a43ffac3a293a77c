"""Settings become keys, a store and the first admin."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from muster.assembly import meters
from muster.assembly.signing import OwnCa
from muster.ca import masterkey, secrets
from muster.ca.passwords import PasswordPool
from muster.ca.secrets import Keyring
from muster.ca.tokens import Tokens
from muster.core import users
from muster.core.errors import Unavailable
from muster.core.model import Instant, User
from muster.core.ports import ANYWHERE, Is, Tx, Window
from muster.settings import Configuration, Settings, make_data_dir
from muster.store import masterkeys, upkeep
from muster.store.doctor import fits
from muster.store.engine import AnyStore, open_store
from muster.store.lookup import is_used
from muster.web.observe import Lines, json_logger, log_as_json

KEY_FILE = "master.key"


def clock() -> Instant:
    """Give the time, in microseconds since 1970 UTC."""
    return Instant(time.time_ns() // 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a running Muster is made of."""

    configuration: Configuration
    keyring: Keyring
    tokens: Tokens
    passwords: PasswordPool
    store: AnyStore
    pki: OwnCa
    clock: Callable[[], Instant]
    registry: CollectorRegistry
    log: Any

    def close(self) -> None:
        """Finish what was accepted and let go of the database."""
        self.pki.close()
        self.passwords.close()
        self.store.close()


def keyring_of(settings: Settings) -> Keyring:
    """Give the installation's keys: from the setting, else from the key file, made at first start.

    Unavailable when the file is gone and there is a database: a new key would open nothing in it.
    """
    if settings.master_key is not None:
        return Keyring(*_named("MUSTER_MASTER_KEY", settings.master_key.reveal()))
    path = settings.data_dir / KEY_FILE
    if not path.exists() and is_used(database_url(settings)):
        raise Unavailable(
            f"there is no key file {path}, and the database is sealed with a master key: "
            "put the file back, or give the key as MUSTER_MASTER_KEY"
        )
    return Keyring(*masterkey.load_or_make_master_keys(path))


def _named(setting: str, value: str) -> tuple[bytes, ...]:
    try:
        return masterkey.parse_master_keys(value)
    except masterkey.MasterKeyRefused as error:
        raise masterkey.MasterKeyRefused(f"{setting}: {error.message}") from None


def database_url(settings: Settings) -> str:
    """Give the URL of the database."""
    if settings.database_url is not None:
        return settings.database_url.reveal()
    return f"sqlite:///{settings.sqlite_file.absolute()}"


def prepare(configuration: Configuration) -> Parts:
    """Make the data folder, bring the database up to date and open it.

    Unavailable when the master key is another one than that of the database, SettingsError when the folder
    cannot be made.
    """
    settings = configuration.settings
    make_data_dir(settings)
    upkeep.upgrade(database_url(settings))
    url, keyring = database_url(settings), keyring_of(settings)
    if not fits(url, keyring):
        raise Unavailable("the database is sealed with another master key than the one that is given")
    masterkeys.admit(url, keyring, clock())
    return open_parts(configuration)


def open_parts(configuration: Configuration) -> Parts:
    """Open what prepare made ready."""
    settings = configuration.settings
    lines = Lines(sys.stdout.buffer)
    log_as_json(lines, settings.log_level.value)
    url, keyring = database_url(settings), keyring_of(settings)
    keyring = keyring.knowing(masterkeys.former(url, keyring))
    store = open_store(url, keyring, clock)
    registry = CollectorRegistry()
    meters.watch(store, registry)
    return Parts(
        configuration=configuration,
        keyring=keyring,
        tokens=Tokens(keyring),
        passwords=PasswordPool(),
        store=store,
        pki=_pki(settings, store),
        clock=clock,
        registry=registry,
        log=json_logger(lines, settings.log_level.value),
    )


def _pki(settings: Settings, store: AnyStore) -> OwnCa:
    if not settings.vault_addr or settings.vault_token is None:
        return OwnCa(store, clock, settings.base_url)
    from muster.assembly.remote import RemoteCa  # noqa: PLC0415 its client is slow to import
    from muster.ca.vault import Vault  # noqa: PLC0415

    token, mount = settings.vault_token.reveal(), settings.vault_pki_path
    vault = Vault(settings.vault_addr, token, mount=mount, role=settings.vault_role)
    return RemoteCa(store, clock, settings.base_url, vault)


# --- the first admin -------------------------------------------------------------------------------------


async def first_admin(parts: Parts) -> str | None:
    """Make the first admin of an empty installation; give the password if it was made up here."""
    settings = parts.configuration.settings
    if await parts.store.read(_has_admin):
        return None
    given = settings.admin_password
    plain = given.reveal() if given is not None else secrets.random_key()
    new = users.NewUser(
        username=settings.admin_username,
        email=settings.admin_email.lower(),
        password=await parts.passwords.hash(plain),
        first_name="Muster",
        last_name="Admin",
        is_admin=True,
    )
    await parts.store.run(_ensure_admin, new)
    return plain if given is None else None


def _has_admin(tx: Tx) -> bool:
    return bool(tx.select(User, ANYWHERE, Is("is_admin", value=True), window=Window(limit=1)))


def _ensure_admin(tx: Tx, new: users.NewUser) -> None:
    tx.lock("first-admin")
    if not _has_admin(tx):
        users.add_user(tx, new, actor="muster")
