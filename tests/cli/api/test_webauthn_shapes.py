"""The schemas of what browsers say of security keys."""

from __future__ import annotations

from typing import Any

import pytest

from console.authenticator import SoftKey
from nacre.cli.api.schema import Mismatch, check
from nacre.cli.api.shapes import SCHEMAS

KEY = SoftKey()
CREATED = KEY.create({"rp": {"id": "x"}, "challenge": ""}, "https://x")
SHOWN = KEY.get({"rpId": "x", "challenge": ""}, "https://x")


def test_what_a_browser_says_fits() -> None:
    check(CREATED, SCHEMAS["EnrolmentAnswer"], SCHEMAS)
    check(SHOWN, SCHEMAS["KeyAnswer"], SCHEMAS)
    del SHOWN["response"]["userHandle"]
    check(SHOWN, SCHEMAS["KeyAnswer"], SCHEMAS)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"type": "password"}, "none of public-key"),
        ({"rawId": "x" * 1365}, "more than 1364"),
        ({"id": 7}, "to be string"),
        ({"response": []}, "to be object"),
        ({"response": {"clientDataJSON": ""}}, "lacks authenticatorData"),
        ({"response": {**SHOWN["response"], "signature": "x" * 2732}}, "more than"),
        ({"response": {**SHOWN["response"], "userHandle": "x" * 87}}, "more than"),
    ],
)
def test_what_is_too_long_or_missing_does_not(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(Mismatch, match=why):
        check({**SHOWN, **wrong}, SCHEMAS["KeyAnswer"], SCHEMAS)
