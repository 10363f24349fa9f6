"""Filesystems in front of others pass on what they do not change."""

from __future__ import annotations

from nacre.sftp.filesystems.base import (
    File,
    Filesystem,
    LayeredFilesystem,
    WrappedFile,
    WrappedFilesystem,
)


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_a_layer_passes_on_every_method() -> None:
    """A method that is new in the interface must not end here."""
    found = public(WrappedFilesystem) | public(LayeredFilesystem)
    values = {"blocking", "read_only"}
    assert found == public(Filesystem) - values


def test_a_wrapped_file_lets_nobody_read_or_write_by_itself() -> None:
    judged = {"pread", "pwrite", "preadv", "pwritev", "copy_from", "set_attributes", "vectors"}
    assert public(WrappedFile) == public(File) - judged
