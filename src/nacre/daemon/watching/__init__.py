"""Live sessions that others watch, or join in.

The order of reading: :mod:`nacre.daemon.watching.frames` is what they get and send,
:mod:`nacre.daemon.watching.watcher` one of them, and :mod:`nacre.daemon.watching.shown` the
session.
"""
