"""``nacre serve``: a server as a daemon, with host keys, a log, users, processes and workers.

Start at daemon.py (start), then server_process.py (one process that serves), then sessions.py
(what a session becomes); accounts/ decides who may do what, processes/ runs programs.
Imports server, config, keys; nothing imports it but the command line (nacre.cli).
Internal: run it as ``nacre serve``; programs with a server of their own use nacre.listen.
Tests: tests/daemon, most of them with a server in a process of its own (served.py).
"""
