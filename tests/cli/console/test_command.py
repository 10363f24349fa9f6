"""``nacre console``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nacre.cli.console import serving
from nacre.cli.console.command import command


def test_options_become_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []

    def serve(settings: Any, tell: Any) -> None:
        found.append(settings)
        tell("http://x/")

    monkeypatch.setattr(serving, "serve", serve)
    key = tmp_path / "key"
    key.write_text("nacre_x")
    key.chmod(0o600)
    words = ["--listen", "[::1]:9000", "--key-file", str(key), "--proxy-from", "192.0.2.0/24"]
    words += ["--origin", "https://files.example.org"]
    done = CliRunner().invoke(command, [*words, "--api", "/run/nacre.sock"])
    assert done.output == "nacre console: http://x/\n"
    (settings,) = found
    assert (settings.place, settings.api, settings.key) == (
        ("::1", 9000),
        "/run/nacre.sock",
        "nacre_x",
    )
    assert "192.0.2.9" in settings.proxies
    assert settings.pages_origin() == "https://files.example.org"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "0.0.0.0:80"], "passwords need HTTPS"),
        (["--listen", "x"], "is not ADDR:PORT"),
        (["--key-file", "/nowhere/x"], "can't read"),
        (["--proxy-from", "x"], "x"),
        (["--origin", "http://files.example.org"], "need HTTPS"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], said: str) -> None:
    done = CliRunner().invoke(command, words)
    assert done.exit_code != 0
    assert said in done.output
