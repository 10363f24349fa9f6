"""The manual pages in docs/man are those of the programs' help, are in order, and are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nacre.cli.help.pages import page
from nacre.config.client.words import SCHEMA

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "man"
PAGES = sorted(path.name for path in FOLDER.iterdir())


def manual(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "manual.py", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_pages_are_up_to_date() -> None:
    done = manual("--check")
    assert done.returncode == 0, done.stderr


def test_a_changed_and_a_stale_page_are_noticed(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("man/nacre-ssh.1", "man/nacre-gone.1", "config-client.md"):
        (folder / name).write_text("changed\n")
    done = manual("--check", "--folder", folder)
    assert done.returncode == 1
    assert done.stderr == (
        "out of date: config-client.md, man/nacre-gone.1, man/nacre-ssh.1: run scripts/manual.py\n"
    )
    assert manual("--folder", folder).returncode == 0
    assert sorted(path.name for path in (folder / "man").iterdir()) == PAGES
    assert manual("--check", "--folder", folder).returncode == 0


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_well_formed(name: str) -> None:
    if shutil.which("mandoc") is None:
        assert "NACRE_REQUIRE_PEERS" not in os.environ, "mandoc is not installed"
        pytest.skip("mandoc is not installed")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", FOLDER / name],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    # A page has no date: it would be that of the last release, which the version says.
    said = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert said == []


@pytest.mark.parametrize("name", ["ssh", "sftp", "scp", "trace", "keygen", "serve"])
def test_a_page_has_every_option(name: str) -> None:
    text = next(FOLDER.glob(f"nacre-{name}.*")).read_text().replace("\\-", "-")
    entries = re.findall(r"^\.TP\n(.+)$", text, re.MULTILINE)
    for row in page(name).rows:
        assert sum(entry.startswith(rf"\fB{row.names[0]}\fR") for entry in entries) == 1, row


@pytest.mark.parametrize("name", ["config-client.md", "man/nacre-ssh_config.5"])
def test_a_page_has_every_keyword(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    form = "| `{}` | " if name.endswith(".md") else ".TP\n\\fB{}\\fR\n"
    assert [word.name for word in SCHEMA.words if text.count(form.format(word.name)) != 1] == []


@pytest.mark.slow
def test_a_wheel_installs_the_pages(tmp_path: Path) -> None:
    # The environments of other Pythons have what the package needs, not what builds it.
    pytest.importorskip("setuptools", minversion="77")
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tree / "src", ignore=ignored)
    shutil.copytree(FOLDER, tree / "docs" / "man")
    program = "from setuptools.build_meta import build_wheel; print(build_wheel('dist'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tree / "dist" / done.stdout.split()[-1]) as wheel:
        names = [name.partition(".data/data/")[2] for name in wheel.namelist()]
    installed = sorted(Path(name).name for name in names if name.startswith("share/man/man"))
    assert installed == PAGES
    assert all(f"share/man/man{name[-1]}/{name}" in names for name in PAGES)
