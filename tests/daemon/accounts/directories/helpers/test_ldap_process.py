"""The questions that reach an LDAP server."""

from __future__ import annotations

from typing import Any

import pytest

from nacre.daemon.accounts.directories.helpers import ldap_process
from nacre.daemon.accounts.directories.values import Asker


def test_questions_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeServer:
        def __init__(self, settings: Any) -> None:
            self.settings = settings

        def find(self, asker: Asker) -> object:
            return {"home": f"/home/{asker.name}"}

        def check(self, asker: Asker, password: str) -> str:
            return "right" if password == self.settings["password"] else "wrong"

    monkeypatch.setattr(ldap_process, "LDAPServer", FakeServer)
    monkeypatch.setattr(ldap_process, "LDAPSettings", dict)
    answer = ldap_process._answers({"password": "secret"})
    asked = {"name": "alice", "address": "192.0.2.1"}
    assert answer({"question": "find", **asked}) == {"user": {"home": "/home/alice"}}
    password = {"question": "password", "password": "secret"}
    assert answer({**password, **asked}) == {"outcome": "right"}
