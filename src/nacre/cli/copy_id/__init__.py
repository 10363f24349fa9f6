"""``nacre copy-id``: let one's keys log in to an account of another host, as ssh-copy-id(1) does.

command.py is the program; arguments.py its command line; identities.py the keys to install;
installing.py what is done on the host.
Imports client, keys and cli.common. Internal. Tests: tests/cli/copy_id,
tests/interop/test_copy_id.py.
"""
