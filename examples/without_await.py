"""The same without await: python examples/without_await.py HOST PORT USER COMMAND"""

import sys

import nacre.blocking

host, port, user, command = sys.argv[1:]

with nacre.blocking.connect(host, int(port), user=user) as ssh:
    done = ssh.run(command, check=True, timeout=60)
    print(done.stdout, end="")
