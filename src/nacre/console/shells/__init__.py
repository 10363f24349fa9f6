"""Shells on pages, over logins by SSH in the name of who has signed in. Internal.

The server decides everything, as for any client. The order of reading:
:mod:`nacre.console.shells.shell` is one shell, and :mod:`nacre.console.shells.table` has them all.
Tests: tests/console/shells.
"""
