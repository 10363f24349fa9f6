"""What ``nacre help KEYWORD`` says."""

from __future__ import annotations

import pytest

from nacre.cli.help.keywords import describe, listed, similar
from nacre.config import client, server


@pytest.mark.parametrize("keyword", ["ProxyJump", "proxyjump", "MaxSessions"])
def test_a_keyword_in_any_case(keyword: str) -> None:
    text = describe(keyword)
    assert text is not None
    assert text.lower().startswith(keyword.lower())


def test_what_is_no_keyword() -> None:
    assert describe("ProxyJum") is None
    assert similar("ProxyJum") == "ProxyJump"
    assert similar("maxsession") == "MaxSessions"
    assert similar("zzzz") is None


def test_the_list_has_every_keyword() -> None:
    lines = [line.split()[0] for line in listed().splitlines() if line]
    assert set(client.KEYWORDS) | set(server.KEYWORDS) <= set(lines)
