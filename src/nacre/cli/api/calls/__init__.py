"""What does the actions of the API, each a function for a thread. Internal.

Tests: tests/cli/api/calls, tests/interop/test_api.py.
"""
