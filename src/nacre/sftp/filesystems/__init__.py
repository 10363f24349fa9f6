"""Filesystems to serve: a directory of this system, memory, any storage that fsspec knows.

Start at base.py (the interface), then local.py; walk.py keeps a client below its root, mounts.py
tells which directories are never slow. quota counts what a user stores.
Imports sftp.protocol's values and aio.maybe; knows nothing of channels, sessions and users.
Public: nacre.Filesystem, File, Upload, and Local-, Memory- and FsspecFilesystem.
Tests: tests/sftp/filesystems (what all have in common); escapes from a root: tests/attacks.
"""
