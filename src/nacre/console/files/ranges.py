"""The header ``Range`` (RFC 9110 section 14): which part of a file is asked for."""

from __future__ import annotations

import re

_FORM = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Unsatisfiable(Exception):
    """A part is asked for that the file does not have."""


def asked_range(header: str, size: int) -> tuple[int, int] | None:
    """Return where a part begins and ends, or None for the whole file.

    What is no range of bytes, or more than one, counts for nothing.

    :raises Unsatisfiable: the file has no such part.
    """
    form = _FORM.fullmatch(header.strip())
    if form is None or not (form[1] or form[2]):
        return None
    if not form[1]:
        begin, end = max(0, size - int(form[2])), size
    else:
        begin, end = int(form[1]), min(size, int(form[2]) + 1 if form[2] else size)
        if form[2] and int(form[2]) < begin:
            return None
    if begin >= end:
        raise Unsatisfiable
    return begin, end
