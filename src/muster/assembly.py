"""The only place where objects meet: settings become a store, keys, doors and a running server."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from muster import __version__
from muster.ca import masterkey, secrets
from muster.ca.passwords import PasswordPool
from muster.ca.secrets import Keyring
from muster.ca.tokens import Tokens
from muster.core import tenancy
from muster.core.access import Evidence, KeySecret, UserToken
from muster.core.errors import Forbidden, MusterError, Unauthenticated
from muster.core.model import Instant, Secret, Status, TenantId, User
from muster.core.ports import ANYWHERE, Is, Tx, Window
from muster.core.throttle import Throttle
from muster.dialects.magistrala import door as magistrala
from muster.dialects.magistrala.options import Options as MagistralaOptions
from muster.settings import Configuration, Settings
from muster.store import upkeep
from muster.store.engine import AnyStore, open_store
from muster.web import app as web
from muster.web.observe import json_logger
from muster.web.serve import Listener, bind, serve, stop_on_signals

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
    registry: CollectorRegistry
    log: Any

    def close(self) -> None:
        """Finish what was accepted and let go of the database."""
        self.passwords.close()
        self.store.close()


def keyring_of(settings: Settings) -> Keyring:
    """Give the installation's keys: from the setting, else from the key file, made at first start."""
    if settings.master_key is not None:
        return Keyring(*masterkey.parse_master_keys(settings.master_key.reveal()))
    return Keyring(*masterkey.load_or_make_master_keys(settings.data_dir / KEY_FILE))


def database_url(settings: Settings) -> str:
    """Give the URL of the database."""
    if settings.database_url is not None:
        return settings.database_url.reveal()
    return f"sqlite:///{(settings.data_dir / 'muster.db').absolute()}"


def prepare(configuration: Configuration) -> Parts:
    """Make the data folder, bring the database up to date and open it."""
    settings = configuration.settings
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keyring = keyring_of(settings)
    url = database_url(settings)
    upkeep.upgrade(url)
    return Parts(
        configuration=configuration,
        keyring=keyring,
        tokens=Tokens(keyring),
        passwords=PasswordPool(),
        store=open_store(url, keyring, clock),
        registry=CollectorRegistry(),
        log=json_logger(),
    )


# --- the first admin -------------------------------------------------------------------------------------


async def first_admin(parts: Parts) -> str | None:
    """Make the first admin of an empty installation; give the password if it was made up here."""
    settings = parts.configuration.settings
    if await parts.store.read(_has_admin):
        return None
    given = settings.admin_password
    plain = given.reveal() if given is not None else secrets.random_key()
    new = tenancy.NewUser(
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


def _ensure_admin(tx: Tx, new: tenancy.NewUser) -> None:
    tx.lock("first-admin")
    if not _has_admin(tx):
        tenancy.add_user(tx, new, actor="muster")


# --- who provisions when a request does not say ------------------------------------------------------------


class Provisioner:
    """Who calls `/mapping` without a header: the configured API key, else the configured user (spec C.3)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: tuple[str, Evidence] | None = None

    async def __call__(self) -> Evidence | None:
        """Give who it is, or None when nothing is configured. The password is verified when it changed."""
        wanted = self._parts.configuration.provision
        if wanted.api_key is not None:
            return KeySecret(wanted.api_key.reveal())
        if not wanted.login or wanted.password is None:
            return None
        user = await self._parts.store.read(tenancy.find_login, wanted.login)
        if user is None or user.status is not Status.ENABLED:
            raise Unauthenticated("failed to create access token : wrong credentials")
        if self._known is None or self._known[0] != user.password:
            if not await self._parts.passwords.verify(user.password, wanted.password.reveal()):
                raise Unauthenticated("failed to create access token : wrong credentials")
            self._known = (user.password, UserToken(user_id=user.id, epoch=user.epoch))
        return UserToken(user_id=user.id, epoch=user.epoch)


# --- the doors -------------------------------------------------------------------------------------------


def app_of(parts: Parts) -> web.App:
    """Give the ASGI app of all doors."""
    settings = parts.configuration.settings
    throttle = Throttle(
        limit=settings.throttle_attempts, period=int(settings.throttle_window.total_seconds())
    )
    return web.build(
        [magistrala.dialect(_magistrala(parts, throttle))],
        store=parts.store,
        tokens=parts.tokens,
        passwords=parts.passwords,
        clock=clock,
        registry=parts.registry,
        log=parts.log,
        limits=web.Limits(body=settings.max_body_bytes),
        about=web.About(version=__version__),
    )


def _magistrala(parts: Parts, throttle: Throttle) -> MagistralaOptions:
    settings, provision = parts.configuration.settings, parts.configuration.provision
    layout = provision.layout_for("clients")
    opens, seals = _bootstrap_cipher(settings.bootstrap_encrypt_key)
    return MagistralaOptions(
        layout=layout,
        layout_digest=layout.digest(),
        provisioner=Provisioner(parts),
        throttle=throttle,
        domain_id=TenantId(provision.domain_id) if provision.domain_id else None,
        self_register=settings.self_register,
        access_lifetime=int(settings.access_token_lifetime.total_seconds()),
        refresh_lifetime=int(settings.refresh_token_lifetime.total_seconds()),
        bootstrap_open=opens,
        bootstrap_seal=seals,
        max_bulk=settings.max_bulk,
    )


def _bootstrap_cipher(
    key: Secret | None,
) -> tuple[Callable[[str], str] | None, Callable[[bytes], bytes] | None]:
    """Give how the secure bootstrap opens and seals (spec A.9), if a key is configured."""
    if key is None:
        return None, None
    plain = secrets.cfb_key(key.reveal())

    def opens(sent: str) -> str:
        try:
            return secrets.cfb_open(plain, sent)
        except MusterError:
            raise Forbidden from None

    return opens, partial(secrets.cfb_seal, plain)


# --- running ---------------------------------------------------------------------------------------------


def run(configuration: Configuration, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM; what a person should read goes to *say*, the log to standard output."""
    import uvloop  # noqa: PLC0415 only the server needs it

    uvloop.run(_serve(configuration, say))


async def _serve(configuration: Configuration, say: Callable[[str], None]) -> None:
    settings = configuration.settings
    for notice in configuration.notices:
        say(f"notice: {notice}")
    stop = stop_on_signals()
    parts = await asyncio.to_thread(prepare, configuration)
    try:
        password = await first_admin(parts)
        if password is not None:
            say(f"first start: log in as {settings.admin_username!r} with password {password}")
            say("this password is not shown again")
        listeners = list(_listeners(settings))
        say_ready = partial(say, f"Muster {__version__} answers at {settings.base_url}")
        await serve(app_of(parts), listeners, stop=stop, on_ready=say_ready, log=parts.log)
    finally:
        parts.close()


def _listeners(settings: Settings) -> list[Listener]:
    places = [] if settings.http is None else [(settings.http.host, settings.http.port)]
    if settings.upstream_ports and settings.http is not None:
        places += [(settings.http.host, port) for port in sorted(magistrala.PORTS)]
    return [Listener(socket=bind(host, port)) for host, port in places]
