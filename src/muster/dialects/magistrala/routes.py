"""All routes of the Magistrala door."""

from typing import Any

from muster.dialects.magistrala import (
    authority,
    bootstrap,
    certs,
    channels,
    clients,
    domains,
    groups,
    invitations,
    journal,
    keys,
    mapping,
    recovery,
    roles,
    sets,
    users,
)

HANDLERS: list[Any] = [
    *users.HANDLERS,
    *recovery.HANDLERS,
    *keys.HANDLERS,
    *domains.HANDLERS,
    *invitations.HANDLERS,
    *roles.HANDLERS,
    *clients.HANDLERS,
    *channels.HANDLERS,
    *sets.HANDLERS,
    *groups.HANDLERS,
    *journal.HANDLERS,
    *bootstrap.HANDLERS,
    *mapping.HANDLERS,
    *certs.HANDLERS,
    *authority.HANDLERS,
]
