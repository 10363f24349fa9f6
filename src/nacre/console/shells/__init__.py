"""Terminals on pages: logins by SSH to the server, in the name of who has signed in. Internal.

The server asks for the password and the code, and decides everything, as for any client. The order
of reading: :mod:`nacre.console.shells.login` logs in, :mod:`nacre.console.shells.shell` is one
shell, and :mod:`nacre.console.shells.table` has them all. Tests: tests/console/shells.
"""
