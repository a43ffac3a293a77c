"""A layout says what one provisioning call makes for one gateway. It is a value; it makes nothing itself."""

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from muster.core.model import Json, Metadata

EXTERNAL_ID: Final = "external_id"
"""The metadata key that marks a device of the layout: the request's external id goes there, and the device
gets the bootstrap configuration (spec C.4, 3 and 5a)."""


class KeyType(StrEnum):
    """The kind of key pair a certificate is made for."""

    EC = "ec"
    RSA = "rsa"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutDevice:
    """A device that every call makes. The first one takes the name the request gives."""

    name: str
    metadata: Metadata = field(default_factory=dict)

    @property
    def has_bootstrap(self) -> bool:
        """Whether it is the device the bootstrap configuration is made for."""
        return EXTERNAL_ID in self.metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutChannel:
    """A channel that every call makes; each device of the layout is connected to it."""

    name: str
    metadata: Metadata = field(default_factory=dict)

    @property
    def type(self) -> str:
        """`control`, `data` or `export` order what the device sees; any other follows, as listed."""
        value = self.metadata.get("type", "")
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What one call makes: these devices and channels, all connected, and what comes with them.

    Metadata and content are shared by all calls: copy before changing.
    """

    devices: tuple[LayoutDevice, ...]
    channels: tuple[LayoutChannel, ...]
    content: Json | None = None
    """What the device reads as `content` in its bootstrap configuration; None: nothing was configured."""
    makes_bootstrap: bool = True
    is_whitelisted: bool = True
    """Whether the devices may speak at once: without it the bootstrap configuration starts inactive."""
    makes_certificates: bool = False
    """One certificate per device, and in the bootstrap configuration."""
    certificate_ttl_hours: float = 2400
    key_type: KeyType = KeyType.EC
    key_bits: int = 256
    """Bits of the modulus (RSA) or of the curve (EC: 256 or 384); Ed25519 has one size and ignores it."""

    @property
    def bootstrap_device(self) -> LayoutDevice | None:
        """The one device that gets the bootstrap configuration: the first that asks for it (spec C.6, 4)."""
        wanting = (device for device in self.devices if device.has_bootstrap)
        return next(wanting, None) if self.makes_bootstrap else None

    def digest(self) -> bytes:
        """Give 32 bytes that are equal if and only if two layouts make the same objects.

        The lifetime of certificates is left out: it passes by itself, and a longer one from tomorrow on must
        not turn a repeated call of yesterday's gateway into a conflict.
        """
        deciding = {
            "devices": [[each.name, each.metadata] for each in self.devices],
            "channels": [[each.name, each.metadata] for each in self.channels],
            "content": self.content,
            "bootstrap": self.makes_bootstrap,
            "whitelisted": self.is_whitelisted,
            "certificates": [self.key_type.value, self.key_bits] if self.makes_certificates else None,
        }
        return hashlib.sha256(json.dumps(deciding, sort_keys=True, separators=(",", ":")).encode()).digest()


def default(device_name: str = "client") -> Layout:
    """Give upstream's layout without a file: one device, a control channel and a data channel (spec C.2)."""
    return Layout(
        devices=(LayoutDevice(name=device_name, metadata={EXTERNAL_ID: ""}),),
        channels=(
            LayoutChannel(name="control-channel", metadata={"type": "control"}),
            LayoutChannel(name="data-channel", metadata={"type": "data"}),
        ),
    )


DEFAULT: Final = default()
