"""Keys on security keys (``-t ed25519-sk``, ``-t ecdsa-sk``), and those that they keep (``-K``)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from nacre.agent import providers
from nacre.agent.tokens import APPLICATION
from nacre.cli.keygen.arguments import KeygenOptions, Refused
from nacre.cli.keygen.generate import comment_of
from nacre.cli.keygen.keyfiles import public_path, save, save_public
from nacre.cli.keygen.questions import (
    ask_line,
    ask_secret,
    confirm_overwrite,
    key_file,
    new_passphrase,
)
from nacre.errors import ConfigurationError, UnusableKey
from nacre.keys.families.security_key import (
    ECDSA,
    ED25519,
    AlreadyKept,
    Enrolled,
    PinRequired,
    SecurityFlags,
    SecurityPrivateKey,
)
from nacre.keys.fingerprint import family, randomart
from nacre.keys.key import SECURITY_KEY_TYPES
from nacre.wire.text import safe

T = TypeVar("T")

_NAMES = {"ed25519-sk": ED25519, "ecdsa-sk": ECDSA}
_FILES = {ED25519: "id_ed25519_sk_rk", ECDSA: "id_ecdsa_sk_rk"}

_PIN = "Enter PIN for authenticator: "
_TRIES = 3
_CHALLENGE = 32
_MOST_CHALLENGE = 16 * 1024
_MOST_USER = 31

_SET = {
    "no-touch-required": (SecurityFlags.TOUCH, False),
    "resident": (SecurityFlags.RESIDENT, True),
    "verify-required": (SecurityFlags.VERIFY, True),
}
_VALUES = ("application", "challenge", "device", "user", "write-attestation")


class _Wish:
    """What ``-O`` asks for."""

    def __init__(self, options: KeygenOptions) -> None:
        self.flags = SecurityFlags.TOUCH
        self.values: dict[str, str] = {}
        for text in options.values("O"):
            name, equals, given = text.partition("=")
            if not equals and name in _SET:
                flag, on = _SET[name]
                self.flags = self.flags | flag if on else self.flags & ~flag
            elif equals and name in _VALUES:
                self.values[name] = given
            else:
                names = (*_SET, *(f"{one}=…" for one in _VALUES))
                raise ConfigurationError(
                    f"-O {safe(text, 64)}: unknown option for keys on security keys; "
                    f"give {', '.join(names)}"
                )
        if not self.application.startswith(APPLICATION):
            raise ConfigurationError(f'-O application: the name must begin with "{APPLICATION}"')
        if len(self.user.encode()) > _MOST_USER:
            raise ConfigurationError(f"-O user: give a name of at most {_MOST_USER} bytes")

    @property
    def application(self) -> str:
        return self.values.get("application", APPLICATION)

    @property
    def user(self) -> str:
        return self.values.get("user", "")

    def challenge(self) -> bytes:
        """Return what the security key attests, from the file that names it, or at random."""
        name = self.values.get("challenge")
        if name is None:
            return os.urandom(_CHALLENGE)
        with open(name, "rb") as file:
            return file.read(_MOST_CHALLENGE)


def run(options: KeygenOptions) -> int:
    """Make a key, or take those that a security key keeps; return the exit status."""
    work, failed = (
        (_download, "Unable to load resident keys")
        if "K" in options
        else (_make, "Key enrollment failed")
    )
    try:
        return work(options)
    except UnusableKey as error:
        raise Refused(f"{failed}: {error}") from error


def _with_pin(work: Callable[[str | None], Coroutine[Any, Any, T]]) -> T:
    """Run ``work`` without a PIN, and again with one where the security key wants it."""
    pin: str | None = None
    for _ in range(_TRIES):
        try:
            return asyncio.run(work(pin))
        except PinRequired as error:
            if pin is not None:
                print(f"{error}", flush=True)
            pin = ask_secret(_PIN)
    return asyncio.run(work(pin))


def _enrolled(type: str, wish: _Wish, options: KeygenOptions) -> Enrolled:
    """Have a security key make the key; ask before it loses one that it keeps."""
    provider = providers.provider_of(options.value("w"))
    challenge = wish.challenge()

    def enroll(flags: SecurityFlags) -> Enrolled:
        return _with_pin(
            lambda pin: providers.enroll(
                provider,
                type,
                wish.values.get("device"),
                application=wish.application,
                user=wish.user,
                flags=flags,
                challenge=challenge,
                pin=pin,
            )
        )

    try:
        return enroll(wish.flags)
    except AlreadyKept:
        about = f"for {safe(wish.application)!r} and user {safe(wish.user)!r}"
        print(f"A resident key {about} already exists.")
        if not ask_line("Overwrite key in token (y/n)? ").lower().startswith("y"):
            raise Refused("") from None
        return enroll(wish.flags | SecurityFlags.FORCE)


def _make(options: KeygenOptions) -> int:
    name = (options.value("t") or "").lower()
    type = _NAMES.get(name, name)
    if type not in SECURITY_KEY_TYPES:
        raise ConfigurationError(f"unknown key type {safe(name, 64)}")
    wish = _Wish(options)
    options.inform(
        f"Generating public/private {name} key pair.\n"
        "You may need to touch your authenticator to authorize key generation."
    )
    made = _enrolled(type, wish, options)
    key = made.key
    key.comment = comment_of(options)
    path = key_file(options, "in which to save the key")
    confirm_overwrite(path)
    given = options.value("N")
    passphrase = new_passphrase("passphrase", again=True) if given is None else given
    _save(path, key, passphrase, options)
    options.inform(
        f"Your identification has been saved in {path}\n"
        f"Your public key has been saved in {public_path(path)}\n"
        f"The key fingerprint is:\n{key.public.fingerprint(options.hash_name)} "
        f"{safe(key.comment)}\nThe key's randomart image is:\n"
        + randomart(key.public.blob, f"{family(type)} {key.public.bits}", options.hash_name)
    )
    attestation = wish.values.get("write-attestation")
    if attestation is not None:
        Path(attestation).write_bytes(made.attestation)
        options.inform(f"Your FIDO attestation certificate has been saved in {attestation}")
    return 0


def _save(path: Path, key: SecurityPrivateKey, passphrase: str, options: KeygenOptions) -> None:
    try:
        save(path, key, passphrase, options)
        save_public(path, key)
    except OSError as error:
        raise Refused(f'Saving key "{path}" failed: {error.strerror}') from error


def _download(options: KeygenOptions) -> int:
    device = _Wish(options).values.get("device")
    provider = providers.provider_of(options.value("w"))
    options.inform("You may need to touch your authenticator to authorize key download.")
    found = _with_pin(lambda pin: providers.resident(provider, pin=pin, device=device))
    if not found:
        options.inform("No keys to download")
        return 0
    given = options.value("N")
    passphrase = new_passphrase("passphrase", again=True) if given is None else given
    for key, user in found:
        application = key.public.application.decode("utf-8", "replace")
        path = Path(_FILES[key.public.type] + _suffix(application, user))
        confirm_overwrite(path)
        key.comment = application
        _save(path, key, passphrase, options)
        named = "" if application == APPLICATION else f" {safe(application)}"
        options.inform(f"Saved {family(key.public.type)} key{named} to {path}")
    return 0


def _suffix(application: str, user: str) -> str:
    """Return the end of a file's name that tells keys of one type apart.

    The names come from the security key: only letters, digits and some signs stay as they are.
    """
    parts = [part for part in (application.removeprefix(APPLICATION), user) if part]
    kept = ["".join(c if c.isalnum() or c in "@+-." else "_" for c in part) for part in parts]
    return "".join(f"_{part}" for part in kept)
