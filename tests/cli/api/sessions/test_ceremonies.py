"""What a security key answers, and what of it is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from console.authenticator import PRESENT, SoftKey, base64url
from nacre.cli.api.sessions.ceremonies import (
    KeyRefused,
    enrolled_key,
    enrolment_options,
    proof_options,
    shown_counter,
)
from nacre.cli.api.sessions.challenges import KeyChallenge
from nacre.daemon.store.second_factor.webauthn_keys import WebAuthnKey
from nacre.errors import ConfigurationError

ORIGIN = "https://files.example.org"
HANDLE = b"h" * 32


def challenge(**more: Any) -> KeyChallenge:
    usual: dict[str, Any] = {"use": "sign-in", "user": "alice", "password": "hash"}
    usual |= {"address": "192.0.2.7", "origin": ORIGIN, "rp_id": "files.example.org"}
    return KeyChallenge(**{**usual, "session": None, "began": 0.0, **more})


def enrolled(key: SoftKey) -> WebAuthnKey:
    asked = challenge()
    return enrolled_key(asked, "blue", key.create(enrolment_options(asked, HANDLE, []), ORIGIN))


def shown(key: SoftKey, known: WebAuthnKey, **changes: Any) -> tuple[WebAuthnKey, int]:
    asked = challenge()
    answer = key.get(proof_options(asked, [known]), ORIGIN, **changes)
    return shown_counter(asked, HANDLE, [known], answer)


@pytest.mark.parametrize("form", ["none", "packed"])
def test_a_key_is_enrolled_and_signs(form: str) -> None:
    key, asked = SoftKey(counter=4), challenge()
    options = enrolment_options(asked, HANDLE, [])
    assert (options["user"]["id"], options["user"]["name"]) == (base64url(HANDLE), "alice")
    assert options["rp"]["id"] == "files.example.org"
    assert options["attestation"] == "none"
    made = enrolled_key(asked, "blue", key.create(options, ORIGIN, form))
    assert (made.user, made.name, made.rp_id) == ("alice", "blue", "files.example.org")
    assert (made.credential, made.counter) == (key.credential, 4)
    assert shown(key, made) == (made, 5)
    assert shown(key, made, handle=base64url(HANDLE)) == (made, 6)


def test_a_browser_is_told_which_keys_there_are() -> None:
    known = enrolled(SoftKey())
    number = base64url(known.credential)
    options = enrolment_options(challenge(), HANDLE, [known])
    assert [one["id"] for one in options["excludeCredentials"]] == [number]
    asked = challenge()
    options = proof_options(asked, [known])
    assert [one["id"] for one in options["allowCredentials"]] == [number]
    assert (options["rpId"], options["challenge"]) == ("files.example.org", base64url(asked.text))


_WRONG = [
    ({"client": {"origin": "https://evil.example.org"}}, "client data origin"),
    ({"client": {"origin": ORIGIN + ":444"}}, "client data origin"),
    ({"client": {"challenge": base64url(bytes(32))}}, "challenge"),
    ({"client": {"type": "webauthn.other"}}, "client data type"),
    ({"client": {"crossOrigin": True}}, "another site's page"),
    ({"client": {"topOrigin": "https://evil.example.org"}}, "another site's page"),
    ({"rp_id": "example.org"}, "RP ID hash"),
    ({"without": PRESENT}, "not present"),
]


@pytest.mark.parametrize(("changes", "why"), _WRONG)
def test_no_key_is_enrolled_by_another_page_or_without_a_touch(
    changes: dict[str, Any], why: str
) -> None:
    asked = challenge()
    answer = SoftKey().create(enrolment_options(asked, HANDLE, []), ORIGIN, **changes)
    with pytest.raises(KeyRefused, match=why):
        enrolled_key(asked, "blue", answer)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        *_WRONG,
        ({"handle": base64url(b"x" * 32)}, "of another user"),
        ({"client": {"type": "webauthn.create"}}, "client data type"),
    ],
)
def test_no_signature_of_another_page_counts_or_without_a_touch(
    changes: dict[str, Any], why: str
) -> None:
    key = SoftKey()
    known = enrolled(key)
    with pytest.raises(KeyRefused, match=why):
        shown(key, known, **changes)


def test_a_signature_of_another_key_counts_for_nothing() -> None:
    key, other = SoftKey(), SoftKey()
    known = enrolled(key)
    with pytest.raises(KeyRefused, match="no such security key"):
        shown(other, known)
    other.credential = key.credential
    with pytest.raises(KeyRefused, match="signature"):
        shown(other, known)
    with pytest.raises(KeyRefused, match="no such security key"):
        shown(key, replace(known, credential=b"another"))


def test_attestations_that_nobody_asked_for_are_not_read() -> None:
    asked = challenge()
    answer = SoftKey().create(enrolment_options(asked, HANDLE, []), ORIGIN, "tpm")
    with pytest.raises(KeyRefused, match="'tpm' is not asked for"):
        enrolled_key(asked, "blue", answer)


@pytest.mark.parametrize("text", ["", "A", "ä", "////", base64url(b"[" * 4000), base64url(b"{}")])
def test_what_is_malformed_is_refused_and_no_fault(text: str) -> None:
    key, asked = SoftKey(), challenge()
    known = enrolled(key)
    options = proof_options(asked, [known])
    for member in ("clientDataJSON", "authenticatorData", "signature"):
        answer = key.get(options, ORIGIN)
        answer["response"][member] = text
        with pytest.raises(KeyRefused):
            shown_counter(asked, HANDLE, [known], answer)
    options = enrolment_options(asked, HANDLE, [])
    for member in ("clientDataJSON", "attestationObject"):
        answer = key.create(options, ORIGIN)
        answer["response"][member] = text
        with pytest.raises(KeyRefused):
            enrolled_key(asked, "blue", answer)
    answer = {**key.create(options, ORIGIN), "rawId": text}
    with pytest.raises(KeyRefused):
        enrolled_key(asked, "blue", answer)


def test_without_the_package_it_is_told_which_one_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "webauthn", None)
    with pytest.raises(ConfigurationError, match=r"nacre\[api\]"):
        proof_options(challenge(), [])
