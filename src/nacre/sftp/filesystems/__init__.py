"""Filesystems to serve: a directory of this system, memory, any storage that fsspec knows."""
