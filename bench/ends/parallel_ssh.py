"""The same command at many hosts by parallel-ssh: parallel_ssh.py KEY PORT PARALLEL HOSTS_FILE

It runs in the environment of the peers. Prints how many hosts have ended well.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pssh.clients import ParallelSSHClient


def main(key: str, port: str, parallel: str, hosts_file: str) -> None:
    """Run the command, and read what each host prints."""
    hosts = Path(hosts_file).read_text().split()
    client = ParallelSSHClient(
        hosts, user="good", pkey=key, port=int(port), pool_size=int(parallel), num_retries=1
    )
    good = 0
    for one in client.run_command("x", stop_on_errors=False, read_timeout=60):
        if one.exception is None:
            printed = list(one.stdout)
            client.join([one])
            good += one.exit_code == 0 and printed == ["the same everywhere"]
    print(good)


main(*sys.argv[1:])
