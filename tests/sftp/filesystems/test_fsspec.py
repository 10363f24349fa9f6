"""Roots that are URLs: what an error about one may show."""

from __future__ import annotations

import traceback

import pytest

from nacre.errors import ConfigurationError
from nacre.sftp.filesystems.fsspec import open_root, shown

pytest.importorskip("fsspec")


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("ftp://user:secret@host/dir", "ftp://host/dir"),
        ("ftp://user:se@cret@host:21/a@b", "ftp://host:21/a@b"),
        ("https://host/a?token=secret#x", "https://host/a"),
        ("zip://a.zip::ftp://u:secret@h/b?k=secret", "zip://a.zip::ftp://h/b"),
        ("s3://b\x1b[2J", "s3://b\\x1b[2J"),
    ],
)
def test_a_url_is_printed_without_its_secrets(url: str, printed: str) -> None:
    assert shown(url) == printed


@pytest.mark.parametrize("url", ["nothing://user:secret@host/x", "smb://user:secret@host/x"])
def test_an_error_about_a_root_has_none_either(url: str) -> None:
    with pytest.raises(ConfigurationError, match="fsspec can't use") as caught:
        open_root(url)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
