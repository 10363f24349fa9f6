"""The log of a server: its records, how they are written, and where to.

Start at server_log.py; form.py makes lines of records, place.py says where they go, and syslog.py
and journal.py are places other than standard error.
Imports config's levels only. Internal. Tests: tests/daemon/log.
"""
