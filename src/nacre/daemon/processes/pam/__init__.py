"""PAM (pam(8)) for accounts of this system: a process of its own for each login.

Start at logins.py (which connection has which process), then login.py (the server's end), then
process.py (what runs in the process); messages.py is what they say, library.py is libpam.
Imports nacre.server's client and processes' template; knows no policy: accounts/ decides.
Internal: a program's own users are a nacre.Policy, or nacre.Users.
Tests: tests/daemon/processes/pam.
"""
