"""Faces for other programs: plugins by which they use nacre.

ansible has a connection plugin. Imports client and config. Tests: tests/compat.
"""
