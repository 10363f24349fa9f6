"""Bans of a running server.

Start with :mod:`nacre.daemon.bans.keeper`.
"""
