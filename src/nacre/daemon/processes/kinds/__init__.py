"""What processes become that the template forks; the table of them is in template_process.py.

Each module has a ``main``, which the process runs: file_process.py serves files, launcher.py
prepares a program, socket_process.py and device_process.py do one step for a forwarding.
Imports sftp, scp, tunnels, the sandbox and the numbers of template.py; knows nothing of sessions.
Internal. Tests: tests/daemon/processes/kinds.
"""
