"""All routes of the Magistrala door."""

from typing import Any

from muster.dialects.magistrala import bootstrap, channels, clients, domains, mapping, users

HANDLERS: list[Any] = [
    *users.HANDLERS,
    *domains.HANDLERS,
    *clients.HANDLERS,
    *channels.HANDLERS,
    *bootstrap.HANDLERS,
    *mapping.HANDLERS,
]
