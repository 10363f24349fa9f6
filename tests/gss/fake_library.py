"""A stand-in for the library ``gssapi``: its names, and contexts that do as they are told."""

from __future__ import annotations

from enum import IntFlag
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any


class GSSError(Exception):
    def __init__(self, major: int = 1, minor: int = 0, *texts: str) -> None:
        self.maj_code, self.min_code, self.texts = major, minor, texts

    def get_all_statuses(self, code: int, is_major: bool) -> list[str]:
        assert (code, is_major) == ((self.min_code, False) if self.min_code else (1, True))
        return list(self.texts)


class RequirementFlag(IntFlag):
    mutual_authentication = 1
    integrity = 2
    delegate_to_peer = 4


class Credentials:
    made: list[dict[str, Any]] = []  # noqa: RUF012
    error: GSSError | None = None

    def __init__(self, name: Any = None, **options: Any) -> None:
        if self.error is not None:
            raise self.error
        self.made.append({"name": name, **options})

    def store(self, store: dict[str, str], **options: Any) -> None:
        Path(store["ccache"].removeprefix("FILE:")).write_bytes(b"tickets")


class SecurityContext:
    """Complete after one step; ``error`` is raised by every call."""

    made: list[SecurityContext] = []  # noqa: RUF012
    error: GSSError | None = None

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.complete = False
        self.mech = "kerberos"
        self.actual_flags = RequirementFlag(3)
        self.initiator_name = b"alice@EXAMPLE.ORG\x1b"
        self.delegated_creds: Credentials | None = None
        self.made.append(self)

    def step(self, token: bytes | None) -> bytes | None:
        if self.error is not None:
            raise self.error
        self.complete = True
        return None if token is None else b"to " + token

    def get_signature(self, data: bytes) -> bytes:
        return b"signed " + data

    def verify_signature(self, data: bytes, mic: bytes) -> None:
        if mic != b"signed " + data:
            raise GSSError


def fake_library() -> ModuleType:
    made: Any = ModuleType("gssapi")
    made.exceptions = SimpleNamespace(GSSError=GSSError)
    made.RequirementFlag = RequirementFlag
    made.MechType = SimpleNamespace(kerberos="kerberos")
    made.NameType = SimpleNamespace(hostbased_service="service", user="user")
    made.Name = lambda text, kind: (text, kind)
    made.Credentials = type("Credentials", (Credentials,), {"made": [], "error": None})
    made.SecurityContext = type("SecurityContext", (SecurityContext,), {"made": [], "error": None})
    return made  # type: ignore[no-any-return]
