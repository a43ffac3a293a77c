"""`muster bootstrap fetch`: what a device does first, from the command line, plain and encrypted."""

import json
import os
from typing import Final

import rich_click as click

from muster.cli.failures import USAGE, Stop
from muster.cli.session import Session, secret, speaks
from muster.client import Json, path

_IV: Final = 16


@click.command()
@click.argument("external_id", metavar="EXTERNAL_ID")
@click.option("--key", metavar="FILE|-", help="Where the external key stands; asked for without it.")
@click.option(
    "--crypto-key",
    metavar="FILE|-",
    help="Fetch encrypted, with the installation's bootstrap key that stands there.",
)
@speaks
def fetch(session: Session, external_id: str, key: str | None, crypto_key: str | None) -> None:
    """Fetch a device's configuration as the device does: with its external id and key alone."""
    plain = secret(key, "external key", option="--key")
    if crypto_key is None:
        session.show(session.api.bootstrap(external_id, plain))
    else:
        shared = secret(crypto_key, "bootstrap key", option="--crypto-key").encode()
        session.show(_secure(session, external_id, plain, shared))


def _secure(session: Session, external_id: str, plain: str, shared: bytes) -> Json:
    """Send hex(IV, AES-CFB128(external key)), receive IV and AES-CFB128(JSON): spec A.9."""
    if len(shared) not in (16, 24, 32):
        raise Stop("the bootstrap key has 16, 24 or 32 bytes", code=USAGE)
    iv = os.urandom(_IV)
    sent = (iv + _cfb(shared, iv, plain.encode(), is_sealing=True)).hex()
    where = path("/clients/bootstrap/secure/{id}", id=external_id)
    content = session.api.request("GET", where, authorization=f"Client {sent}").content
    try:
        return json.loads(_cfb(shared, content[:_IV], content[_IV:], is_sealing=False))
    except ValueError:
        raise Stop("the answer cannot be decrypted", hint="is it the key the server has?") from None


def _cfb(key: bytes, iv: bytes, data: bytes, *, is_sealing: bool) -> bytes:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB  # noqa: PLC0415 slow to import, rarely needed
    from cryptography.hazmat.primitives.ciphers import Cipher  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.algorithms import AES  # noqa: PLC0415

    cipher = Cipher(AES(key), CFB(iv))
    context = cipher.encryptor() if is_sealing else cipher.decryptor()
    return context.update(data) + context.finalize()
