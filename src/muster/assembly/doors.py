"""The doors, with the operator's decisions in them, behind one ASGI app."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import msgspec

from muster import __version__
from muster.assembly import hono
from muster.assembly.messages import Messages, no_messages
from muster.assembly.parts import Parts
from muster.ca import secrets
from muster.core import users
from muster.core.access import Evidence, KeySecret, UserToken
from muster.core.errors import Forbidden, MusterError, Unauthenticated
from muster.core.model import Secret, Status, TenantId
from muster.core.throttle import Throttle
from muster.dialects.est import routes as est
from muster.dialects.magistrala import door as magistrala
from muster.dialects.magistrala.options import Options as MagistralaOptions
from muster.dialects.magistrala.problems import problem as magistrala_problem
from muster.dialects.mainflux import door as mainflux
from muster.dialects.mainflux.options import Options as MainfluxOptions
from muster.plane import http, reader
from muster.plane.guesses import Guesses
from muster.plane.websocket import WebSockets
from muster.web import app as web
from muster.web.desk import Desk
from muster.web.passwords import renew


class MessageProblem(msgspec.Struct, kw_only=True):
    """The body of a failure at the door for messages; Mainflux's has no `message`."""

    error: str
    message: str | msgspec.UnsetType = msgspec.UNSET


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
        user = await self._parts.store.read(users.find_login, wanted.login)
        if user is None or user.status is not Status.ENABLED:
            raise Unauthenticated("failed to create access token : wrong credentials")
        if self._known is None or self._known[0] != user.password:
            if not await self._parts.passwords.verify(user.password, wanted.password.reveal()):
                raise Unauthenticated("failed to create access token : wrong credentials")
            await renew(self._parts.store, self._parts.passwords, user, wanted.password.reveal())
            self._known = (user.password, UserToken(user_id=user.id, epoch=user.epoch))
        return UserToken(user_id=user.id, epoch=user.epoch)


def upstream_ports() -> frozenset[int]:
    """Give the ports where upstream's services listen, of all dialects."""
    return magistrala.PORTS | mainflux.PORTS | http.PORTS


def app_of(parts: Parts, messages: Messages | None = None) -> web.App:
    """Give the ASGI app of all doors; without messages those for them say 503."""
    messages = messages or no_messages(parts)
    settings = parts.configuration.settings
    throttle = Throttle(
        limit=settings.throttle_attempts, period=int(settings.throttle_window.total_seconds())
    )
    guesses = Guesses(throttle)
    door = http.Door(messages.plane.publisher, messages.plane.passages, guesses, parts.pki)
    modern, legacy = [http.domain_routes(door)], [reader.legacy_routes(door)]
    options = _magistrala(parts, throttle)
    doors = [magistrala.dialect(options, modern), mainflux.dialect(_mainflux(parts, options), legacy)]
    if parts.configuration.provision.vocabulary == "things":
        doors[0] = replace(doors[0], unmarked=frozenset())
    doors.append(hono.dialect(parts, throttle, messages))
    doors.append(_messages(door))
    doors.append(_est(parts, throttle))
    return web.build(
        doors,
        store=parts.store,
        tokens=parts.tokens,
        passwords=parts.passwords,
        clock=parts.clock,
        registry=parts.registry,
        log=parts.log,
        limits=web.Limits(body=settings.max_body_bytes),
        about=web.About(version=__version__),
        websocket=_websockets(parts, messages, guesses),
    )


def _websockets(parts: Parts, messages: Messages, guesses: Guesses) -> WebSockets:
    desk = Desk(
        store=parts.store,
        tokens=parts.tokens,
        passwords=parts.passwords,
        clock=parts.clock,
        dialect="messages",
    )
    return WebSockets(messages.plane.sockets, guesses, desk)


def _messages(door: http.Door) -> web.Dialect:
    """Give the door for messages: one for all dialects; its errors are those of the one that is spoken."""
    return web.Dialect(
        name="messages",
        title="Muster: messages",
        handlers=[http.adapter_routes(door)],
        problem=magistrala_problem,
        problem_type=MessageProblem,
        speaks_as=("magistrala", "mainflux"),
        ports=http.PORTS,
        line_end=b"\n",
        tenant_variable="domain",
    )


def _est(parts: Parts, throttle: Throttle) -> web.Dialect:
    hours = parts.configuration.provision.layout_for("clients").certificate_ttl_hours
    return est.dialect(est.Est(pki=parts.pki, throttle=throttle, ttl_seconds=int(hours * 3600)))


def _magistrala(parts: Parts, throttle: Throttle) -> MagistralaOptions:
    settings, provision = parts.configuration.settings, parts.configuration.provision
    layout = provision.layout_for("clients")
    opens, seals = _bootstrap_cipher(settings.bootstrap_encrypt_key)
    return MagistralaOptions(
        pki=parts.pki,
        layout=layout,
        layout_digest=layout.digest(),
        provisioner=Provisioner(parts),
        throttle=throttle,
        recoveries=Throttle(limit=10, period=3600),
        sends_mail=settings.mail_url is not None,
        domain_id=TenantId(provision.domain_id) if provision.domain_id else None,
        self_register=settings.self_register,
        password=settings.password_pattern,
        access_lifetime=int(settings.access_token_lifetime.total_seconds()),
        refresh_lifetime=int(settings.refresh_token_lifetime.total_seconds()),
        bootstrap_open=opens,
        bootstrap_seal=seals,
        max_bulk=settings.max_bulk,
        max_metadata=settings.max_metadata_bytes,
        max_content=settings.max_content_bytes,
    )


def _mainflux(parts: Parts, other: MagistralaOptions) -> MainfluxOptions:
    """Decide as for the other dialect; what is throttled there is throttled here."""
    settings, provision = parts.configuration.settings, parts.configuration.provision
    layout = provision.layout_for("things")
    return MainfluxOptions(
        pki=parts.pki,
        layout=layout,
        layout_digest=layout.digest(),
        provisioner=other.provisioner,
        throttle=other.throttle,
        recoveries=other.recoveries,
        sends_mail=other.sends_mail,
        domain_id=other.domain_id,
        self_register=settings.self_register,
        password=settings.password_pattern,
        token_lifetime=int(settings.legacy_token_lifetime.total_seconds()),
        bootstrap_open=other.bootstrap_open,
        bootstrap_seal=other.bootstrap_seal,
        max_bulk=other.max_bulk,
        max_metadata=other.max_metadata,
        max_content=other.max_content,
        has_mapping=provision.vocabulary == "things",
        version=__version__,
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
