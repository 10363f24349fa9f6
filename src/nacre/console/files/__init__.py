"""A user's own files: paths, downloads, archives, previews. Internal.

The SFTP sessions are those of web/file_connections.py.
Tests: tests/console/files, tests/interop/test_console_files.py.
"""
