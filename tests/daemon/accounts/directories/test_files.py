"""Files of directories: secrets, and settings in TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.daemon.accounts.directories.files import Table, read_secret, signing_secret
from nacre.errors import ConfigurationError


def test_a_secret_is_a_line_that_others_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text("0123456789abcdef\nmore\n")
    assert read_secret(path) == "0123456789abcdef"
    assert signing_secret(path) == b"0123456789abcdef"
    path.write_text("short\n")
    with pytest.raises(ConfigurationError, match="must have 16 to"):
        signing_secret(path)
    path.write_text("")
    with pytest.raises(ConfigurationError, match="must have 1 to"):
        read_secret(path)
    path.write_text("a" * 5000)
    with pytest.raises(ConfigurationError, match="must have"):
        read_secret(path)
    path.write_bytes(b"\xff" * 20)
    with pytest.raises(ConfigurationError, match="no text"):
        read_secret(path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_secret(path)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_secret("/dev/null")
    with pytest.raises(ConfigurationError, match="can't read"):
        read_secret(tmp_path / "none")


def test_settings_are_taken_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text('url = "x"\nflag = true\nnumber = 1\n[groups]\na = "b"\n')
    table = Table.read(str(path))
    assert table.take("url", str) == "x"
    assert table.take("flag", bool, False) is True
    assert table.take("other", bool, False) is False
    assert table.texts("groups") == {"a": "b"}
    assert table.texts("attributes") == {}
    with pytest.raises(ConfigurationError, match="base is missing"):
        table.take("base", str)
    with pytest.raises(ConfigurationError, match="there is no setting number"):
        table.end()
    with pytest.raises(ConfigurationError, match="number is no str"):
        table.take("number", str)
    path.write_text("[groups]\na = 1\n")
    with pytest.raises(ConfigurationError, match="what is no text"):
        Table.read(str(path)).texts("groups")


@pytest.mark.parametrize("content", [b"= 1", b"\xff", b"#" * 70000])
def test_files_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError):
        Table.read(str(path))
    with pytest.raises(ConfigurationError, match="can't read"):
        Table.read(str(tmp_path / "none"))
