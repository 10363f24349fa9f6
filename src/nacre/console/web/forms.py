"""Forms that browsers send, and whether it was a page of this console that had them sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from nacre.limits import KIB

LONGEST = 64 * KIB
"""Bytes of a form: as many as the API takes."""

_MOST_FIELDS = 200

FORM_PATIENCE = 10.0
"""Seconds that a form has to come."""

_KIND = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form.

    :raises HTTPException: it is none, too long or too slow, or a page of another site has sent it.
    """
    check_origin(request.headers)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
        raise HTTPException(415, "this is not a form")
    found = bytearray()
    try:
        async with asyncio.timeout(FORM_PATIENCE):
            async for part in request.stream():
                found += part
                if len(found) > LONGEST:
                    raise HTTPException(413, "the form is too long")
    except TimeoutError:
        raise HTTPException(408, "the form does not come") from None
    try:
        return dict(parse_qsl(found.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise HTTPException(400, "the form can't be read") from None


def check_origin(headers: Mapping[str, str]) -> None:
    """Refuse what a page of another site has had a browser send.

    Browsers say so themselves (Fetch Metadata, and Origin of RFC 6454); the key in each form holds
    also where they do not.

    :raises HTTPException: it is from another site.
    """
    origin = headers.get("origin")
    foreign = origin is not None and _host_of(origin) != headers.get("host")
    if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this was sent by a page of another site")


def _host_of(origin: str) -> str:
    """Return the host and port of an origin; empty for what is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
