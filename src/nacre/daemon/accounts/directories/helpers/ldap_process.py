"""The process that asks an LDAP server: see pool.py. It has the library, and no rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nacre.daemon.accounts.directories.helpers.process import Answers, serve
from nacre.daemon.accounts.directories.ldap import LDAPServer, LDAPSettings
from nacre.daemon.accounts.directories.values import Asker


def main() -> None:
    """Answer questions until standard input ends."""
    serve("ldap", _answers)


def _answers(settings: dict[str, Any]) -> Answers:
    server = LDAPServer(LDAPSettings(**settings))

    def answer(question: Mapping[str, Any]) -> object:
        asker = Asker(name=question["name"], address=question["address"])
        if question["question"] == "find":
            return {"user": server.find(asker)}
        return {"outcome": server.check(asker, question["password"])}

    return answer
