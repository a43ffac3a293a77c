"""The word that goes to every process of Muster when rights have changed."""

import msgspec

CUT = "_MUSTER.cut"
"""The name of a session, of a tenant with a slash behind, or of a channel with # before it, as JSON."""


def read_cut(message: bytes) -> str:
    """Read whose rights have changed."""
    return msgspec.json.decode(message, type=str)


def channel_name(channel_id: str) -> str:
    """Name a channel that is closed to all."""
    return f"#{channel_id}"


def is_meant(session: str, name: str) -> bool:
    """Say whether a session is the one, or of the tenant, that is named."""
    return session == name or (name.endswith("/") and session.startswith(name))
