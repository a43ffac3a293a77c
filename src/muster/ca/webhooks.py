"""Signatures of webhooks (Standard Webhooks, symmetric): HMAC-SHA256 over id, time and body."""

import hmac
from base64 import b64decode, b64encode

from muster.core.model import Secret


def signature(secret: Secret, message_id: str, timestamp: int, body: bytes) -> str:
    """Give `v1,` and the Base64 of the signature; *secret* is `whsec_` and Base64, *timestamp* in seconds."""
    key = b64decode(secret.reveal().removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()
