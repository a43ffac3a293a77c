"""Forgotten passwords: a recovery token is sent by mail, or handed out by an admin (spec A.1)."""

from litestar import post, put

from muster.core import users
from muster.core.access import Evidence, UserToken
from muster.core.errors import Malformed, Unauthenticated
from muster.core.model import User
from muster.dialects.magistrala import wire
from muster.dialects.magistrala.options import Options
from muster.dialects.magistrala.users import RECOVERY, email_of, mint, password
from muster.web import auth
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.mail import Mail
from muster.web.passwords import ask_for_recovery

SENT = "Email with reset link is sent"
_TEXT = """\
Somebody, hopefully you, asked for a new password for the user {username}.

To set one, send within {minutes} minutes
  PUT {where}/password/reset
with the JSON body
  {{"token": "{token}", "password": "…", "confirm_password": "…"}}

If it was not you, do nothing: the password stays as it is.
"""


@post("/password/reset-request", operation_id="requestReset", status_code=201, opt={"public": True})
async def request_reset(
    request: AnyRequest, data: wire.Email, desk: Desk, options: Options
) -> Rendered[wire.Message]:
    """Send a recovery token to the address, if somebody has it; the answer never tells whether."""
    email = email_of(data.email)
    source = ("recovery", request.client.host if request.client else "")
    options.recoveries.check(source, desk.clock())
    options.recoveries.failed(source, desk.clock())
    if options.sends_mail:
        await ask_for_recovery(desk, options.recoveries, email, door="magistrala")
    return desk.answer(Reply(status=201, body=wire.Message(msg=SENT)))


def letter(desk: Desk, user: User, *, lifetime: int, where: str) -> Mail:
    """Write to a user who forgot the password, with a token that is made now and lives so many seconds."""
    token, minutes = mint(desk, user, RECOVERY, lifetime), lifetime // 60
    text = _TEXT.format(username=user.username, minutes=minutes, where=where, token=token)
    return Mail(to=user.email, subject="A new password", text=text)


@post("/users/{user_id:str}/recovery", operation_id="recoverUser", status_code=201)
async def recover_user(
    request: AnyRequest, user_id: str, desk: Desk, options: Options
) -> Rendered[wire.Recovery]:
    """Give an admin a recovery token for a user; it sets one new password, within an hour."""

    def minted(user: User) -> Reply:
        token = mint(desk, user, RECOVERY, options.recovery_lifetime)
        body = wire.Recovery(token=token, expires_in=options.recovery_lifetime)
        return Reply(status=201, body=body, headers={"Cache-Control": "no-store"})

    return await desk.run(request, users.start_recovery, user_id, reply=minted)


@put("/password/reset", operation_id="resetPassword", status_code=201, opt={"public": True})
async def reset_password(
    request: AnyRequest, data: wire.Reset, desk: Desk, options: Options
) -> Rendered[wire.Message]:
    """Set a new password with a recovery token, in the header or the body."""
    plain = password(data.password, options)
    if plain != data.confirm_password:
        raise Malformed("passwords do not match")
    known = _evidence(request, data.token, desk)
    fresh = await desk.passwords.hash(plain)
    return await desk.run_open(
        request,
        users.reset_password,
        known.user_id,
        known.epoch,
        new=fresh,
        reply=lambda _: Reply(status=201, body=wire.Message()),
    )


def _evidence(request: AnyRequest, token: str | None, desk: Desk) -> UserToken:
    kinds = frozenset({RECOVERY})
    known: Evidence
    if token:
        known = auth.of_claims(desk.tokens.verify(token, desk.clock() // 1_000_000), kinds)
    else:
        known = auth.evidence(request, desk.tokens, desk.clock, kinds=kinds)
    if not isinstance(known, UserToken):
        raise Unauthenticated
    return known


HANDLERS = [request_reset, recover_user, reset_password]
