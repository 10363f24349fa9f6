"""The page of a trace: what is on it, and that a server's texts do nothing there."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from nacre.cli.trace import page as page_module
from nacre.cli.trace.page import TracePage
from nacre.cli.trace.tracing import PHASES, Record

EVIL = "<script>alert(1)</script>\"'&<img src=x>"


def record(event: str, phase: int = 1, time: float = 0.5, **more: Any) -> Record:
    return {"time": time, "phase": phase, "event": event, **more}


def connection(text: str) -> list[Record]:
    """Records of every kind, with a text of the peer wherever there can be one."""
    phases = [record("phase", n, n - 1.0, name=name) for n, name in PHASES.items()]
    return [
        phases[0],
        record("version", client="me", server=text, protocol="2.0", before=[text]),
        phases[1],
        record("message", 2, direction="in", number=20, name="SSH_MSG_KEXINIT", fields={"a": text}),
        record("message", 2, direction="out", number=21, name="SSH_MSG_NEWKEYS", fields={}),
        record("negotiated", 2, what="kex", client=["k1", "k2"], server=["k2", text],
               chosen="k2", why=f"the server lacks k1 {text}"),
        record("strict kex", 2, on=True),
        record("keys", 2, host_key="ssh-ed25519", bits=256, fingerprint="SHA256:x",
               session_id="00", first=True),
        phases[2],
        record("banner", 3, text=text),
        record("authentication", 3, user=text, method="password", detail="", outcome="failure",
               can_continue=[text]),
        phases[3],
        record("channel", 4, channel=0),
        record("request", 4, channel=0, success=False),
        phases[4],
        record("ended", 5, error=text),
        record("result", 5, time=4.5, exit_status=None, error=text),
    ]  # fmt: skip


def made(records: list[Record], host: str = "host") -> str:
    page = TracePage(host)
    for one in records:
        page.add(one)
    return page.html()


class Tags(HTMLParser):
    """Keeps the tags of a page, and what is not closed."""

    VOID = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


def test_texts_of_the_peer_are_texts() -> None:
    page = made(connection(EVIL), EVIL)
    tags = parsed(page)
    assert not tags.tags & {"script", "img", "link", "iframe", "a"}
    assert "&lt;script&gt;alert(1)" in page
    assert not {name for name in tags.attributes if name.startswith("on")}


def test_nothing_is_loaded() -> None:
    page = made(connection("text"))
    assert parsed(page).attributes <= {
        *("lang", "charset", "name", "content", "http-equiv", "class", "style")
    }
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert not re.search(r"url\(|@import|https?:", page)


def test_the_phases_have_bars_and_a_diagram() -> None:
    page = made(connection("text"))
    for number, name in PHASES.items():
        assert f"Phase {number}: {name}" in page
    assert page.count("1000.0 ms</b>") == 4
    assert "margin-left:22.22%;width:22.22%" in page
    assert re.search(r'<details class="in"><summary><b>20 SSH_MSG_KEXINIT</b>', page)
    assert re.search(r'<div class="out"><p class="summary"><b>21 SSH_MSG_NEWKEYS</b>', page)


def test_both_lists_show_what_was_chosen_and_why() -> None:
    page = made(connection("only there"))
    assert '<ol><li class="faint">k1</li><li><mark>k2</mark></li></ol>' in page
    assert '<ol><li><mark>k2</mark></li><li class="faint">only there</li></ol>' in page
    assert "the server lacks k1" in page


def test_a_page_fits_phones_paper_and_the_dark() -> None:
    page = made([])
    assert parsed(page).tags >= {"html", "style", "main"}
    for rule in ("@media print", "prefers-color-scheme: dark", "overflow-wrap: anywhere"):
        assert rule in page
    assert "width=device-width" in page


def test_a_long_session_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MESSAGES", 3)
    message = record("message", 5, direction="in", number=94, name="DATA", fields={"data": "<9>"})
    page = made([record("phase", 5, name=PHASES[5]), *[message] * 10])
    assert page.count("94 DATA") == 3
    assert "7 further messages are left out." in page
