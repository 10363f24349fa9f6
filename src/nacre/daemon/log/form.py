"""Records as text: a line of ``key=value`` words, or of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

Form: TypeAlias = Literal["text", "json"]

_PLAIN = re.compile(r"[!#-<>-~]+")  # visible US-ASCII without the quote and the equals sign


def line(record: Mapping[str, object]) -> str:
    """Return a record as ``key=value`` words; other values than plain words are JSON."""
    texts = [str(value) for value in record.values()]
    # Most lines need no quotes, which one match of the whole line finds out.
    if not all(texts) or not _PLAIN.fullmatch("".join(texts)):
        texts = [text if _PLAIN.fullmatch(text) else _quoted(text) for text in texts]
    return " ".join(map("=".join, zip(record, texts, strict=True)))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


def json_line(record: Mapping[str, object]) -> str:
    """Return a record as an object of JSON in US-ASCII; other values than JSON has are texts."""
    return json.dumps(record, default=str)


FORMS: dict[Form, Callable[[Mapping[str, object]], str]] = {"text": line, "json": json_line}
"""What makes a line of a record."""
