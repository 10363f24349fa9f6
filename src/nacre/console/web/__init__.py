"""What all pages need: calls of the API, sessions of browsers, forms, templates. Internal.

Tests: tests/console/web.
"""
