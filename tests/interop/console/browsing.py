"""Chromium without a window, whose pages tell what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from playwright.sync_api import Browser, ConsoleMessage, Page, StorageState, sync_playwright

from interop.console.served import PASSWORD
from interop.peers import INSTALLED
from interop.programs import missing, require

PATIENCE = 30_000.0
"""Milliseconds that a page has for anything."""

_WIDE, PHONE = (1280, 800), (360, 740)

_SERIOUS = ("serious", "critical")

_Scheme: TypeAlias = Literal["dark", "light"]

_QUICK = {"resultTypes": ["violations"]}
_EXAMINED: tuple[tuple[_Scheme, dict[str, Any]], ...] = (
    ("dark", {**_QUICK, "runOnly": ["color-contrast"]}),
    ("light", _QUICK),
)

_OF_A_STATUS = re.compile(r"Failed to load resource: .* status of (\d+)")


class VisitedPage:
    """A page of somebody, in a browser of its own.

    :ivar page: Playwright's.
    :ivar faults: what the browser's console said, violations of the policy among it.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._on_said)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _on_said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def open(self, path: str, status: int = 200) -> None:
        """Open a page, which has a status."""
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"

    def expect(self, *statuses: int) -> None:
        """Forget that pages had these statuses: each is a fault for the browser's console."""
        found = {fault: _OF_A_STATUS.match(fault) for fault in self.faults}
        self.faults = [
            one for one, match in found.items() if not match or int(match[1]) not in statuses
        ]

    def fill(self, **fields: str) -> None:
        """Fill fields of a form, by their names."""
        for name, text in fields.items():
            self.page.fill(f"[name={name}]:not([type=hidden])", text)

    def press(self, name: str) -> None:
        """Click on a button, and wait for the page that follows."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name).click()

    def sign_in(self, name: str, password: str = PASSWORD, code: str = "") -> None:
        self.open("/sign-in")
        self.fill(name=name, password=password, code=code)
        self.press("Sign in")

    def text(self) -> str:
        """Return what the page shows."""
        return self.page.inner_text("main")

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the screen of a phone."""
        self.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        wider = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        self.page.set_viewport_size({"width": _WIDE[0], "height": _WIDE[1]})
        return int(wider)

    def barriers(self, examiner: str) -> list[str]:
        """Return what axe-core finds that is serious; in dark, contrasts are other ones."""
        found = []
        self.page.evaluate(examiner)
        for scheme, options in _EXAMINED:
            self.page.emulate_media(color_scheme=scheme)
            told: dict[str, Any] = self.page.evaluate("more => axe.run(document, more)", options)
            for one in told["violations"]:
                if one["impact"] in _SERIOUS:
                    where = [node["html"][:200] for node in one["nodes"]]
                    found.append(f"{scheme}: {one['id']}: {one['help']}: {where}")
        return found


class Visitors:
    """Pages of people who have signed in once.

    :param url: where the console is.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self._kept: dict[str, StorageState] = {}

    @contextmanager
    def page(self, name: str = "") -> Iterator[VisitedPage]:
        """Have a page of somebody; of a stranger without a name. Faults in it fail the test."""
        width, height = _WIDE
        context = self._browser.new_context(
            base_url=self._url,
            viewport={"width": width, "height": height},
            storage_state=self._kept.get(name),
            accept_downloads=True,
        )
        try:
            visited = VisitedPage(context.new_page())
            if name and name not in self._kept:
                visited.sign_in(name)
                self._kept[name] = context.storage_state()
            yield visited
            assert visited.faults == []
        finally:
            context.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Have the distribution's Chromium."""
    program = require("chromium")
    # The sandbox needs namespaces of users, which containers do not have, and no root.
    options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=options, timeout=60_000)
        try:
            yield browser
        finally:
            browser.close()


def axe() -> str:
    """Return the source of axe-core, which npm has."""
    path = INSTALLED / "node_modules" / "axe-core" / "axe.min.js"
    return path.read_text() if path.exists() else missing("npm's axe-core")
