"""What the operator decides about the Hono door, and what it asks of other rooms."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from muster.core.identity import Certificates

PasswordHash = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One installation's."""

    certificates: Certificates
    hash_password: PasswordHash
    """Gives an argon2id verifier."""
    tenant_id: re.Pattern[str] = re.compile(r"[a-zA-Z0-9\-_.]{1,256}")
    device_id: re.Pattern[str] = re.compile(r"[a-zA-Z0-9\-_.:=]{1,256}")
    auth_id: re.Pattern[str] = re.compile(r"[a-zA-Z0-9\-_=.]{1,256}")
    """Of hashed-password credentials."""
    max_bcrypt_cost: int = 10
    hash_functions: frozenset[str] = frozenset({"sha-256", "sha-512", "bcrypt", "argon2id"})
    max_bulk: int = 1000
    calls_private: bool = False
    """Whether webhooks may go into private networks, and over plain http."""
