"""``nacre agent``: hold private keys and sign with them, as ssh-agent(1) does.

command.py is the program; arguments.py its command line; running.py the process that holds the
keys.
Imports agent, daemon (processes in the background) and cli.common; knows nothing of connections.
Internal: a program's own agent uses nacre.serve_agent. Tests: tests/cli/agent,
tests/interop/test_agent_program.py.
"""
