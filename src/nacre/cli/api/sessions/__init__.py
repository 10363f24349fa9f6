"""Users of the store who have signed in to the API, and what they may do there.

Internal. Tests: tests/cli/api/sessions.
"""
