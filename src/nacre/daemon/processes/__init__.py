"""Sessions as processes of this system: started, joined to a channel, watched, ended.

Start at processes.py (a session with pipes or a terminal), then child.py (the process), then
descriptors.py (its input and output on the loop). template.py forks nacre's own processes, which
template_process.py lists: kinds/file_process.py serves files, kinds/launcher.py prepares a program.
Imports nacre.server's session, aio and sftp; knows nothing of users: accounts/ makes a Program.
Internal: a program's own server runs what it likes in the handler of nacre.listen.
Tests: tests/daemon/processes.
"""
