"""The control socket of a running server: who is connected, end a connection, follow the log.

The order of reading: :mod:`nacre.daemon.control.requests` has the table of what can be asked, and
:mod:`nacre.daemon.control.service` answers it on a socket.
"""
