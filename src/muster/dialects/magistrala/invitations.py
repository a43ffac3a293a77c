"""Invitations into domains (spec A.2)."""

from litestar import delete, get, post

from muster.core import invitations
from muster.core.access import Caller
from muster.core.errors import Malformed, NotFound
from muster.core.model import NEVER, Invitation, Role, TenantId
from muster.core.ports import ANYWHERE, Condition, Is, Not, Tx
from muster.dialects.magistrala import queries, wire
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.wire import text, window

_STATES: dict[str, tuple[Condition, ...]] = {
    "all": (),
    "pending": (Is("accepted_at", NEVER), Is("rejected_at", NEVER)),
    "accepted": (Not("accepted_at", NEVER),),
    "rejected": (Not("rejected_at", NEVER),),
}
_QUERY: queries.Schemas = {
    **queries.PAGE,
    **dict.fromkeys(("invited_by", "user_id", "domain_id", "role_id"), queries.TEXT),
    "state": {"type": "string", "enum": [*_STATES], "default": "all"},
}
_FIELDS = {"invited_by": "invited_by", "user_id": "user_id", "domain_id": "tenant_id", "role_id": "role_id"}


@post("/domains/{domain:str}/invitations", operation_id="createInvitation", status_code=201)
async def invite(request: AnyRequest, domain: str, data: wire.NewInvitation, desk: Desk) -> Rendered[None]:
    """Ask a user into a role of a domain."""
    if not data.invitee_user_id:
        raise Malformed("missing user id")
    if not data.role_id:
        raise Malformed("empty role id")
    return await desk.run(
        request,
        invitations.invite,
        TenantId(domain),
        user_id=data.invitee_user_id,
        role_id=data.role_id,
        reply=lambda _: Reply(status=201),
    )


async def _listed(request: AnyRequest, desk: Desk, tenant: TenantId) -> Rendered[wire.InvitationPage]:
    asked, state = window(request), text(request, "state") or "all"
    if state not in _STATES:
        raise Malformed("invalid invitation state")
    given = {field: text(request, parameter) for parameter, field in _FIELDS.items()}
    equal = [Is(field, wanted) for field, wanted in given.items() if wanted is not None]
    conditions = (*equal, *_STATES[state])

    def listed(tx: Tx, caller: Caller) -> Reply:
        page = invitations.list_invitations(tx, caller, tenant, *conditions, window=asked)
        shown = [wire.invitation(*pair) for pair in page.items]
        body = wire.InvitationPage(
            limit=asked.limit or 0, offset=asked.offset, total=page.total, invitations=shown
        )
        return Reply(body=body)

    return await desk.read(request, listed, reply=lambda reply: reply)


@get("/domains/{domain:str}/invitations", operation_id="listDomainInvitations", opt={"query": _QUERY})
async def list_of_domain(request: AnyRequest, domain: str, desk: Desk) -> Rendered[wire.InvitationPage]:
    """List the invitations into a domain."""
    return await _listed(request, desk, TenantId(domain))


@get("/invitations", operation_id="listInvitations", opt={"query": _QUERY})
async def list_own(request: AnyRequest, desk: Desk) -> Rendered[wire.InvitationPage]:
    """List the caller's own invitations."""
    return await _listed(request, desk, ANYWHERE)


@get("/domains/{domain:str}/invitations/{user:str}", operation_id="getInvitation")
async def get_invitation(
    request: AnyRequest, domain: str, user: str, desk: Desk
) -> Rendered[wire.InvitationOut]:
    """Show the invitation of a user."""

    def shown(found: tuple[Invitation, Role | None]) -> Reply:
        return Reply(body=wire.invitation(*found))

    return await desk.read(request, invitations.get_invitation, TenantId(domain), user, reply=shown)


@delete("/domains/{domain:str}/invitations/{user:str}", operation_id="deleteInvitation", status_code=204)
async def delete_invitation(request: AnyRequest, domain: str, user: str, desk: Desk) -> Rendered[None]:
    """Take an invitation back."""
    args = (TenantId(domain), user)
    return await desk.run(request, invitations.delete_invitation, *args, reply=lambda _: Reply(status=204))


async def _answer(
    request: AnyRequest, data: wire.InvitationAnswer, desk: Desk, *, is_accepted: bool
) -> Rendered[None]:
    if not data.domain_id:
        raise Malformed("missing domainID")
    return await desk.run(
        request,
        invitations.answer_invitation,
        TenantId(data.domain_id),
        is_accepted=is_accepted,
        reply=lambda _: Reply(status=204),
    )


@post("/invitations/accept", operation_id="acceptInvitation", status_code=204, opt={"errors": (NotFound,)})
async def accept(request: AnyRequest, data: wire.InvitationAnswer, desk: Desk) -> Rendered[None]:
    """Accept an invitation: the caller is a member from now on."""
    return await _answer(request, data, desk, is_accepted=True)


@post("/invitations/reject", operation_id="rejectInvitation", status_code=204, opt={"errors": (NotFound,)})
async def reject(request: AnyRequest, data: wire.InvitationAnswer, desk: Desk) -> Rendered[None]:
    """Reject an invitation."""
    return await _answer(request, data, desk, is_accepted=False)


HANDLERS = [invite, list_of_domain, list_own, get_invitation, delete_invitation, accept, reject]
