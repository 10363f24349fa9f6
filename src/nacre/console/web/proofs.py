"""What a form shows to prove who somebody is: a security key's answer, a code, or a password."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException


def key_answer(form: Mapping[str, str]) -> dict[str, Any]:
    """Return what the browser says of a security key; the API looks at what is in it.

    :raises HTTPException: it says nothing that can be read.
    """
    text = form.get("answer", "")
    if not text:
        raise HTTPException(
            400, "no security key has answered: the page needs its scripts for that"
        )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HTTPException(400, "the answer of the security key can't be read")
    return found


def shown_proof(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the members of a call that has what a form shows.

    :raises HTTPException: it shows nothing that can be read.
    """
    found: dict[str, Any] = {}
    if "ticket" in form:
        found["ticket"] = form["ticket"]
    if "code" in form:
        return {**found, "code": form["code"].strip()}
    if "password" in form:
        return {**found, "password": form["password"]}
    return {**found, "answer": key_answer(form)}
