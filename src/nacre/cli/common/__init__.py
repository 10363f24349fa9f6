"""What several programs share: arguments, dialling, login, prompts, messages, exit statuses.

Start at start.py, then connect.py (dial, then log in), then login.py (a configuration to the
arguments of nacre.connect), then program.py (signals and errors).
Imports client, config and aio; knows no single program. start.py, log.py and connect.py load before
a connection exists, so they import little.
Internal: use nacre.connect. Tests: tests/cli/common.
"""
