"""Answers of the API without an end, as server-sent events. Internal.

Tests: tests/cli/api/streams.
"""
