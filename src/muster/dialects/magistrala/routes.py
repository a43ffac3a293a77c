"""All routes of the Magistrala door."""

from typing import Any

from muster.dialects.magistrala import bootstrap, channels, clients, domains, mapping, sets, users

HANDLERS: list[Any] = [
    *users.HANDLERS,
    *domains.HANDLERS,
    *clients.HANDLERS,
    *channels.HANDLERS,
    *sets.HANDLERS,
    *bootstrap.HANDLERS,
    *mapping.HANDLERS,
]
