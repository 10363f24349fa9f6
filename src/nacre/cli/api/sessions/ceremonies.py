"""The two ceremonies of WebAuthn: a security key is enrolled, and it signs a challenge.

The package webauthn has the formats and the checks. What is asked for is a key that somebody
touches: it stands beside a password, so it need not ask for a PIN or a finger as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nacre.cli.api.sessions.challenges import LONGEST_CHALLENGE, KeyChallenge
from nacre.daemon.store.second_factor.webauthn_keys import WebAuthnKey
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

_RP_NAME = "nacre"
_FORMATS = ("none", "packed")
"""Formats of attestation that are read. None is asked for; a browser may leave the key's signature
of its own in one of the second."""

_MILLISECONDS = int(LONGEST_CHALLENGE * 1000)


class KeyRefused(Exception):
    """The answer of a security key does not count; the text says why, for the log."""


def enrolment_options(
    challenge: KeyChallenge, handle: bytes, known: Iterable[WebAuthnKey]
) -> dict[str, Any]:
    """Return what a browser needs to make a credential (PublicKeyCredentialCreationOptionsJSON).

    :param handle: what authenticators know the user by.
    :param known: the keys that are enrolled already.
    :raises ConfigurationError: the package webauthn is not installed.
    """
    _need_package()
    from webauthn import generate_registration_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    asked = AuthenticatorSelectionCriteria(
        resident_key=ResidentKeyRequirement.DISCOURAGED,
        user_verification=UserVerificationRequirement.DISCOURAGED,
    )
    options = generate_registration_options(
        rp_id=challenge.rp_id,
        rp_name=_RP_NAME,
        user_id=handle,
        user_name=challenge.user,
        challenge=challenge.text,
        timeout=_MILLISECONDS,
        authenticator_selection=asked,
        exclude_credentials=_described(known),
    )
    return options_to_json_dict(options)


def proof_options(challenge: KeyChallenge, known: Iterable[WebAuthnKey]) -> dict[str, Any]:
    """Return what a browser needs to have a key sign (PublicKeyCredentialRequestOptionsJSON).

    :param known: the keys of which one is to sign.
    :raises ConfigurationError: the package webauthn is not installed.
    """
    _need_package()
    from webauthn import generate_authentication_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import UserVerificationRequirement

    options = generate_authentication_options(
        rp_id=challenge.rp_id,
        challenge=challenge.text,
        timeout=_MILLISECONDS,
        allow_credentials=_described(known),
        user_verification=UserVerificationRequirement.DISCOURAGED,
    )
    return options_to_json_dict(options)


def enrolled_key(challenge: KeyChallenge, name: str, answer: Mapping[str, Any]) -> WebAuthnKey:
    """Return the security key that an answer brings (WebAuthn, section 7.1).

    :param name: what the user calls it.
    :param answer: the browser's, as RegistrationResponseJSON.
    :raises KeyRefused: the answer is not one to this challenge.
    """
    _need_package()
    from webauthn import base64url_to_bytes, verify_registration_response
    from webauthn.helpers import parse_attestation_object

    try:
        _check_place(answer)
        brought = base64url_to_bytes(answer["response"]["attestationObject"])
        form = parse_attestation_object(brought).fmt
        if form not in _FORMATS:
            raise KeyRefused(f"attestation of the format {safe(str(form), 32)!r} is not asked for")
        found = verify_registration_response(
            credential=dict(answer),
            expected_challenge=challenge.text,
            expected_rp_id=challenge.rp_id,
            expected_origin=challenge.origin,
        )
    except KeyRefused:
        raise
    except Exception as error:  # of many kinds, for what is malformed
        raise _refused(error) from None
    return WebAuthnKey(
        credential=found.credential_id,
        user=challenge.user,
        name=name,
        rp_id=challenge.rp_id,
        public_key=found.credential_public_key,
        counter=found.sign_count,
    )


def shown_counter(
    challenge: KeyChallenge,
    handle: bytes,
    known: Iterable[WebAuthnKey],
    answer: Mapping[str, Any],
) -> tuple[WebAuthnKey, int]:
    """Return the key that has signed, with its counter (WebAuthn, section 7.2).

    That the counter goes up is not checked here.

    :param handle: what authenticators know the user by.
    :param known: the keys of which one is to sign.
    :param answer: the browser's, as AuthenticationResponseJSON.
    :raises KeyRefused: the answer is not one to this challenge.
    """
    _need_package()
    from webauthn import base64url_to_bytes, verify_authentication_response

    try:
        _check_place(answer)
        credential = base64url_to_bytes(answer["rawId"])
        key = next((one for one in known if one.credential == credential), None)
        if key is None:
            raise KeyRefused("the user has no such security key for this host name")
        told = answer["response"].get("userHandle")
        if told and base64url_to_bytes(told) != handle:
            raise KeyRefused("the security key is of another user")
        found = verify_authentication_response(
            credential=dict(answer),
            expected_challenge=challenge.text,
            expected_rp_id=challenge.rp_id,
            expected_origin=challenge.origin,
            credential_public_key=key.public_key,
            credential_current_sign_count=0,  # the store compares it, and replaces it at once
        )
    except KeyRefused:
        raise
    except Exception as error:  # of many kinds, for what is malformed
        raise _refused(error) from None
    return key, found.new_sign_count


def _check_place(answer: Mapping[str, Any]) -> None:
    """Refuse what was signed in a page inside of another site's page."""
    from webauthn import base64url_to_bytes

    said = json.loads(base64url_to_bytes(answer["response"]["clientDataJSON"]))
    if said.get("crossOrigin", False) is not False or "topOrigin" in said:
        raise KeyRefused("the page was inside of another site's page")


def _described(known: Iterable[WebAuthnKey]) -> list[PublicKeyCredentialDescriptor]:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    return [PublicKeyCredentialDescriptor(id=one.credential) for one in known]


def _refused(error: Exception) -> KeyRefused:
    return KeyRefused(f"the security key's answer is refused: {safe(str(error), 200)}")


def _need_package() -> None:
    try:
        import webauthn  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "security keys need the package webauthn: pip install 'nacre[api]'"
        ) from None
