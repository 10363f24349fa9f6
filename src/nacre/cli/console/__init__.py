"""``nacre console``: pages for people, on top of the REST API. Internal.

Tests: tests/cli/console, tests/interop/test_console.py.
"""
