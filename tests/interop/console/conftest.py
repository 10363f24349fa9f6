"""One server, one console and one Chromium for a module: each takes seconds to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.console.browsing import Visitors, chromium
from interop.console.served import ServedConsole, served_console


@pytest.fixture(scope="module")
def served(
    keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedConsole]:
    with served_console(tmp_path_factory.mktemp("console"), keys["ed25519"]) as served:
        yield served


@pytest.fixture(scope="module")
def visitors(served: ServedConsole) -> Iterator[Visitors]:
    """Pages of those who have signed in: each role signs in once, as there is a bound."""
    with chromium() as browser:
        yield Visitors(browser, served.url)
