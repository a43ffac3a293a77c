"""What all of Magistrala's JSON has in common."""

from typing import Any

import msgspec

from muster.core.actions import ACTIONS
from muster.core.errors import Malformed
from muster.core.model import Flow, Instant, Kind, Role, Status
from muster.web.wire import rfc3339


class Out(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What goes out: a field that has its default value is left out."""


class In(msgspec.Struct, kw_only=True):
    """What comes in: unknown fields are ignored, as upstream does."""


STATUS = {Status.FROZEN: "freezed"}
"""Upstream's own spelling of one status."""


def status_text(status: Status) -> str:
    """Write a status."""
    return STATUS.get(status, status.value)


def status_of(text: str | None) -> Status:
    """Read the status an entity is to be created with; Malformed for any but enabled and disabled."""
    if text in (None, "", "enabled"):
        return Status.ENABLED
    if text == "disabled":
        return Status.DISABLED
    raise Malformed("invalid status")


def at(instant: Instant) -> str:
    """Write a time that may not have come yet; empty (left out) if so."""
    return rfc3339(instant) if instant else ""


CONNECTION_TYPE = {"type": "string", "enum": ["publish", "subscribe"]}
"""A kind of connection as a query parameter; whatever the case."""


def connection_types(flow: Flow | None) -> list[str]:
    """Write the kinds of a connection, capitalised as upstream does."""
    return (
        [] if flow is None else [str(f.name).capitalize() for f in (Flow.PUBLISH, Flow.SUBSCRIBE) if f & flow]
    )


def flow_of(types: list[str]) -> Flow:
    """Read the kinds of a connection, whatever the case; Malformed when there are none or others."""
    if not types:
        raise Malformed("missing connection type")
    flow = Flow(0)
    for name in types:
        try:
            flow |= {"publish": Flow.PUBLISH, "subscribe": Flow.SUBSCRIBE}[name.lower()]
        except KeyError:
            raise Malformed("invalid connection type") from None
    return flow


class Change(In, kw_only=True):
    """A new name or new metadata; what is absent stays."""

    name: str | None = None
    metadata: dict[str, Any] | None = None


class Tags(In, kw_only=True):
    """New tags, in place of the old."""

    tags: list[str]


class NewSecret(In, kw_only=True):
    """A secret chosen by the operator."""

    secret: str | None = None


class Parent(In, kw_only=True):
    """The group to go into."""

    parent_group_id: str | None = None


def action_out(action: str) -> str:
    """Write an action: the core's device is Magistrala's client."""
    return action.replace("device", "client")


def action_in(action: str) -> str:
    """Read an action; groups under groups are `subgroup_…` in some of upstream's roles."""
    return action.replace("client", "device").removeprefix("sub")


def available_actions(kind: Kind) -> list[str]:
    """Write all actions a role on that kind of entity can allow."""
    return [action_out(a) for a in ACTIONS[kind]]


def role_fields(role: Role | None) -> dict[str, Any]:
    """Write the caller's own role on an entity of a list, where that was asked for."""
    if role is None:
        return {}
    return {"role_id": role.id, "role_name": role.name, "actions": [action_out(a) for a in role.actions]}
