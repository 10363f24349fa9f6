"""What each answer says to browsers; tests/console/test_app.py has it on pages."""

from __future__ import annotations

from typing import Any

from nacre.console.web.guard import HEADERS, POLICY, Guard


async def headers_of(*, secure: bool, **said: str) -> dict[str, str]:
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in said.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    await Guard(app, secure=secure)({"type": "http"}, receive, send)
    return {name.decode(): text.decode() for name, text in sent[0]["headers"]}


def test_the_policy_permits_nothing_inside_of_pages() -> None:
    assert POLICY.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY


async def test_an_answer_has_all_of_it_and_keeps_its_own_word_on_caches() -> None:
    found = await headers_of(secure=True, cache_control="immutable")
    assert {name.lower() for name in HEADERS} <= found.keys()
    assert found["cache-control"] == "immutable"
    assert found["strict-transport-security"] == "max-age=31536000"
    found = await headers_of(secure=False)
    assert found["cache-control"] == "no-store"
    assert "strict-transport-security" not in found
