"""The questions that reach an issuer."""

from __future__ import annotations

from typing import Any

import pytest

from nacre.daemon.accounts.directories.helpers import oidc_process


def test_questions_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeIssuer:
        def __init__(self, settings: Any) -> None:
            self.settings = settings

        def begin(self) -> object:
            return {"user_code": "A"}

        def poll(self, code: str) -> object:
            return {"wait": True, "code": code}

        def vouch(self, token: str, key: str) -> object:
            return {"name": "alice", "token": token, "key": key}

    monkeypatch.setattr(oidc_process, "Issuer", FakeIssuer)
    monkeypatch.setattr(oidc_process, "OIDCSettings", dict)
    answer = oidc_process._answers({})
    assert answer({"question": "begin"}) == {"user_code": "A"}
    assert answer({"question": "poll", "device_code": "x"}) == {"wait": True, "code": "x"}
    assert answer({"question": "token", "token": "t", "key": "k"}) == {
        "name": "alice",
        "token": "t",
        "key": "k",
    }
    with pytest.raises(KeyError):
        answer({"question": "another"})
