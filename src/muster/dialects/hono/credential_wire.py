"""Credentials as Hono writes and reads them (spec A.7)."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from muster.core import credentials, templates
from muster.core.errors import Malformed
from muster.core.identity import (
    CERTIFICATE,
    PASSWORD,
    RAW_KEY,
    SHARED_KEY,
    Credential,
    Proof,
    Shown,
    TrustedCa,
)
from muster.core.model import TenantId
from muster.core.ports import Is, Order, Tx
from muster.dialects.hono.options import Options
from muster.dialects.hono.tenant_wire import Known
from muster.dialects.hono.times import read_base64, read_time, write_base64, write_time


class SecretBody(Known, kw_only=True, frozen=True):
    """What all secrets have."""

    id: str | None = None
    enabled: bool = True
    not_before: str | None = None
    not_after: str | None = None
    comment: str | None = None


class PasswordSecret(SecretBody, kw_only=True, frozen=True):
    """A password, or what was made of it elsewhere."""

    pwd_plain: str | None = None
    hash_function: str | None = None
    pwd_hash: str | None = None
    salt: str | None = None


class SharedKeySecret(SecretBody, kw_only=True, frozen=True):
    """A pre-shared key, Base64."""

    key: str | None = None


class RawKeySecret(SecretBody, kw_only=True, frozen=True):
    """A public key (DER, Base64) and its algorithm, or a certificate that holds it."""

    key: str | None = None
    algorithm: str | None = None
    cert: str | None = None


class Common(Known, kw_only=True, frozen=True):
    """What all credentials have."""

    type: Annotated[str, Meta(pattern="^[a-z0-9-]+$")]
    auth_id: str | None = None
    enabled: bool = True
    ext: dict[str, Any] | None = None
    comment: str | None = None
    cert: str | None = None
    secrets: list[dict[str, Any]] | None = None


class Loose(msgspec.Struct, kw_only=True, rename="kebab"):
    """A credential of a type that means nothing to us: more members are welcome."""

    type: Annotated[str, Meta(pattern="^[a-z0-9-]+$")]
    auth_id: str | None = None
    enabled: bool = True
    ext: dict[str, Any] | None = None
    comment: str | None = None
    secrets: list[dict[str, Any]] | None = None


_SECRETS: dict[str, type[SecretBody]] = {
    PASSWORD: PasswordSecret,
    SHARED_KEY: SharedKeySecret,
    RAW_KEY: RawKeySecret,
    CERTIFICATE: SecretBody,
}
_COMMON = {"id", "enabled", "not-before", "not-after", "comment"}
_BCRYPT = re.compile(r"\$2a\$(\d\d)\$[./A-Za-z0-9]{53}")


class Reading(NamedTuple):
    """What a credential is read for."""

    tenant_id: TenantId
    device_id: str
    options: Options


class Uploaded(NamedTuple):
    """A credential that was made of a certificate."""

    credential: Credential
    shown: Shown


Read = Credential | Uploaded


async def read(items: Sequence[dict[str, Any]], reading: Reading) -> list[Read]:
    """Read the credentials of a PUT; passwords are hashed on the way. Malformed says what is wrong.

    What comes of certificates is yet to be `named`.
    """
    return [await _read(item, reading) for item in items]


async def _read(item: dict[str, Any], reading: Reading) -> Read:
    type_ = item.get("type")
    data = convert(item, Common if type_ in _SECRETS else Loose)
    if isinstance(data, Common) and data.cert is not None:
        if type_ != CERTIFICATE:
            raise Malformed("cert goes with the type x509-cert")
        return _of_certificate(data, reading)
    if not data.auth_id:
        raise Malformed("a credential needs an auth-id")
    if type_ == PASSWORD and not reading.options.auth_id.fullmatch(data.auth_id):
        raise Malformed("the auth-id breaks the rule for auth-ids")
    auth_id, auth_key = names(data.type, data.auth_id, reading.options)
    proofs = [await _proof(data.type, secret, reading.options) for secret in data.secrets or ()]
    if isinstance(data, Loose):
        proofs = _with_members(proofs, item)
    return _draft(data, auth_id, auth_key, proofs, reading)


_MEMBERS = ""
"""Under this name the first secret of a loose credential keeps the credential's further members, sealed."""
_OF_LOOSE = {"type", "auth-id", "enabled", "ext", "comment", "secrets"}


def _with_members(proofs: Sequence[Proof], item: dict[str, Any]) -> list[Proof]:
    if "device-id" in item:
        raise Malformed("a credential is of the device in the path: it has no device-id")
    if any(_MEMBERS in proof.others for proof in proofs):
        raise Malformed("a member needs a name")
    more = {name: value for name, value in item.items() if name not in _OF_LOOSE}
    return [
        replace(proof, others={**proof.others, _MEMBERS: more if place == 0 else {}})
        for place, proof in enumerate(proofs)
    ]


def convert(item: Any, kind: Any) -> Any:
    """Read what was decoded already; Malformed when it does not fit."""
    try:
        return msgspec.convert(item, kind)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None


def names(type_: str, auth_id: str, options: Options) -> tuple[str, str]:
    """Give an auth id as it is stored and as it is compared: names of certificates in the one spelling."""
    return templates.compared(auth_id, options.certificates) if type_ == CERTIFICATE else (auth_id, auth_id)


def _of_certificate(data: Common, reading: Reading) -> Uploaded:
    facts = reading.options.certificates.read(data.cert or "")
    proof = Proof(not_before=facts.not_before, not_after=facts.not_after)
    return Uploaded(_draft(data, facts.subject.text, facts.subject.key, [proof], reading), facts)


def named(tx: Tx, tenant_id: TenantId, found: Sequence[Read], options: Options) -> list[Credential]:
    """Give the credentials; what a CA of the tenant issued has the auth id that the CA's template makes.

    Malformed when the certificate lacks what the template asks for.
    """
    return [_named(tx, tenant_id, each, options) for each in found]


def _named(tx: Tx, tenant_id: TenantId, found: Read, options: Options) -> Credential:
    if not isinstance(found, Uploaded):
        return found
    made, shown = found
    issuers = tx.select(TrustedCa, tenant_id, Is("subject_key", shown.issuer.key), order=Order("place"))
    template = next((ca.auth_id_template for ca in issuers if ca.auth_id_template), "")
    if not template:
        return made
    auth_id, auth_key = templates.stands_for(template, shown, options.certificates)
    return replace(made, auth_id=auth_id, auth_key=auth_key)


def _draft(
    data: Common | Loose, auth_id: str, auth_key: str, proofs: Sequence[Proof], reading: Reading
) -> Credential:
    return credentials.draft(
        reading.tenant_id,
        reading.device_id,
        type=data.type,
        auth_id=auth_id,
        auth_key=auth_key,
        proofs=proofs,
        is_enabled=data.enabled,
        extensions=data.ext or {},
        comment=data.comment or "",
    )


async def _proof(type_: str, item: dict[str, Any], options: Options) -> Proof:
    kind = _SECRETS.get(type_)
    if kind is None:
        data = convert({name: value for name, value in item.items() if name in _COMMON}, SecretBody)
        others = {name: value for name, value in item.items() if name not in _COMMON}
        return _common(data, others=others)
    data = convert(item, kind)
    match data:
        case PasswordSecret():
            return await _password(data, options)
        case SharedKeySecret():
            return _common(data, key=write_base64(read_base64(data.key)) if data.key else "")
        case RawKeySecret():
            return _raw_key(data, options)
    return _common(data)


def _common(data: SecretBody, **more: Any) -> Proof:
    proof = Proof(
        id=data.id or "",
        is_enabled=data.enabled,
        not_before=read_time(data.not_before),
        not_after=read_time(data.not_after),
        comment=data.comment or "",
        **more,
    )
    if proof.not_after and proof.not_before > proof.not_after:
        raise Malformed("a secret's not-before lies after its not-after")
    return proof


async def _password(data: PasswordSecret, options: Options) -> Proof:
    common = _common(data)  # before the hash, which costs more than all else
    if data.pwd_plain is not None:
        return _common(data, function="argon2id", verifier=await options.hash_password(data.pwd_plain))
    if data.pwd_hash is None and data.hash_function is None:
        return common
    if not data.pwd_hash or not data.hash_function:
        raise Malformed("pwd-hash and hash-function go together")
    _check_hash(data, options)
    return _common(data, function=data.hash_function, verifier=data.pwd_hash, salt=data.salt or "")


def _check_hash(data: PasswordSecret, options: Options) -> None:
    if data.hash_function not in options.hash_functions:
        raise Malformed("the hash-function is not one of " + ", ".join(sorted(options.hash_functions)))
    verifier = data.pwd_hash or ""
    if data.hash_function == "bcrypt":
        match = _BCRYPT.fullmatch(verifier)
        if match is None or int(match[1]) > options.max_bcrypt_cost:
            raise Malformed(f"a bcrypt hash begins with $2a$ and costs {options.max_bcrypt_cost} at most")
    elif data.hash_function == "argon2id":
        if not verifier.startswith("$argon2id$"):
            raise Malformed("an argon2id hash begins with $argon2id$")
    elif len(read_base64(verifier)) != {"sha-256": 32, "sha-512": 64}[data.hash_function or ""]:
        raise Malformed("pwd-hash has another length than the hash-function gives")
    if data.salt:
        read_base64(data.salt)


def _raw_key(data: RawKeySecret, options: Options) -> Proof:
    if data.cert is not None:
        facts = options.certificates.read(data.cert)
        return _common(data, key=write_base64(facts.spki_der), algorithm=facts.algorithm)
    if data.key is None:
        return _common(data)
    key = read_base64(data.key)
    if options.certificates.check_key(key) != data.algorithm:
        raise Malformed("the key is not one of the algorithm, RSA or EC")
    return _common(data, key=write_base64(key), algorithm=data.algorithm)


# --- writing ------------------------------------------------------------------------------------------


def shown(credential: Credential, *, for_adapters: bool = False) -> dict[str, Any]:
    """Show a credential: to people without what is confidential, to adapters whole (spec B.4)."""
    document: dict[str, Any] = {
        "type": credential.type,
        "auth-id": credential.auth_id,
        "enabled": credential.is_enabled,
        "ext": dict(credential.extensions) or None,
        "comment": credential.comment or None,
        **_members(credential),
        "secrets": [_shown(credential.type, proof, for_adapters=for_adapters) for proof in credential.proofs],
    }
    if for_adapters:
        document = {"device-id": credential.device_id} | document
    return {name: value for name, value in document.items() if value is not None}


def _members(credential: Credential) -> dict[str, Any]:
    return {
        name: value for proof in credential.proofs for name, value in proof.others.get(_MEMBERS, {}).items()
    }


def _shown(type_: str, proof: Proof, *, for_adapters: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": proof.id,
        "enabled": proof.is_enabled,
        "not-before": write_time(proof.not_before),
        "not-after": write_time(proof.not_after),
        "comment": proof.comment or None,
        **{name: value for name, value in proof.others.items() if name != _MEMBERS},
    }
    if type_ == RAW_KEY or for_adapters:
        document |= {"key": proof.key or None, "algorithm": proof.algorithm or None}
    if for_adapters:
        document |= {
            "hash-function": proof.function or None,
            "pwd-hash": proof.verifier or None,
            "salt": proof.salt or None,
        }
    return {name: value for name, value in document.items() if value is not None}
