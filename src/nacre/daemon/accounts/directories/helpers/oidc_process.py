"""The process that asks an issuer of OpenID Connect: see pool.py. It has no rights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nacre.daemon.accounts.directories.helpers.process import Answers, serve
from nacre.daemon.accounts.directories.oidc import Issuer, OIDCSettings


def main() -> None:
    """Answer questions until standard input ends."""
    serve("oidc", _answers)


def _answers(settings: dict[str, Any]) -> Answers:
    issuer = Issuer(OIDCSettings(**settings))

    def answer(question: Mapping[str, Any]) -> object:
        return _QUESTIONS[question["question"]](issuer, question)

    return answer


_QUESTIONS: Mapping[str, Callable[[Issuer, Mapping[str, Any]], object]] = {
    "begin": lambda issuer, _: issuer.begin(),
    "poll": lambda issuer, given: issuer.poll(given["device_code"]),
    "token": lambda issuer, given: issuer.vouch(given["token"], given["key"]),
}
