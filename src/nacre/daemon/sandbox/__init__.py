"""What a process gives up before it takes a client's bytes: other files, and calls of the kernel.

Start at sandbox.py (what a process may do, and how it enters its sandbox), then rules.py (the
tables of system calls), filter.py (seccomp(2)), landlock.py (landlock(7)) and kernel.py (calls).
Imports daemon.memory; knows nothing of files, users and SFTP: who enters one chooses its rows.
Internal: nacre's own processes enter one. Tests: tests/daemon/sandbox.
"""
