"""What forms show to prove who somebody is."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from nacre.console.web.proofs import key_answer, shown_proof


def test_a_form_shows_a_key_a_code_or_a_password() -> None:
    assert shown_proof({"ticket": "t", "answer": '{"id": "x"}'}) == {
        "ticket": "t",
        "answer": {"id": "x"},
    }
    assert shown_proof({"ticket": "t", "code": " 123 456 "}) == {"ticket": "t", "code": "123 456"}
    assert shown_proof({"password": " x "}) == {"password": " x "}


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "null", "[" * 50_000, "NaN"])
def test_what_is_no_answer_of_a_browser_is_refused(text: str) -> None:
    with pytest.raises(HTTPException) as raised:
        key_answer({"answer": text})
    assert raised.value.status_code == 400
    with pytest.raises(HTTPException):
        shown_proof({"ticket": "t", "answer": text})
