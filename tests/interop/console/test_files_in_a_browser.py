"""A user's files in the console, in Chromium: uploads, downloads and changes on the page."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from playwright.sync_api import Page

from interop.console.browsing import Visitors
from interop.console.served import ServedConsole
from interop.pattern import blocks

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

LARGE = 200
"""MiB of what is uploaded: 50 pieces."""


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upload(page: Page, *paths: Path) -> None:
    page.set_input_files("#upload-files", [str(path) for path in paths])
    page.get_by_role("button", name="Upload").click()
    for path in paths:
        page.get_by_role("link", name=f"Download {path.name}", exact=True).wait_for(timeout=120_000)


def test_a_large_file_goes_up_and_comes_back_the_same(
    served: ServedConsole, visitors: Visitors, tmp_path: Path
) -> None:
    sent = tmp_path / "large.bin"
    with sent.open("wb") as file:
        file.writelines(blocks(LARGE))
    with visitors.page("fil") as fil:
        fil.open("/files")
        upload(fil.page, sent)
        assert digest(served.files / "large.bin") == digest(sent)
        with fil.page.expect_download(timeout=120_000) as begun:
            fil.page.get_by_role("link", name="Download large.bin", exact=True).click()
        begun.value.save_as(tmp_path / "back.bin")
        assert digest(tmp_path / "back.bin") == digest(sent)
        (served.files / "large.bin").unlink()


def test_a_name_is_text_whatever_is_in_it(
    served: ServedConsole, visitors: Visitors, tmp_path: Path
) -> None:
    name = "<img src=x onerror=document.title='run'>.txt"
    (tmp_path / name).write_text("<script>document.title = 'run'</script>")
    with visitors.page("fil") as fil:
        fil.open("/files")
        upload(fil.page, tmp_path / name)
        fil.page.get_by_role("link", name=name, exact=True).click()
        fil.page.get_by_text("<script>document.title").wait_for()
        assert "run" not in fil.page.title().split(" – ")
        assert fil.page.locator("main script, main img").count() == 0
    (served.files / name).unlink()
