"""SSH agents over asyncio, both roles: programs that hold private keys and sign with them.

Start at client.py (:class:`~nacre.Agent`, which asks a running agent), and for the agent's side at
keyring.py (what an agent holds), then server.py, service.py (one client's requests) and memory.py
(the keyring of ``nacre agent``). security_keys.py has hardware sign, through providers.py.
The messages are in nacre.keys, agent*.py, without I/O.
Imports keys and aio; knows nothing of connections.
Use nacre.Agent. Tests: tests/agent; real agents: tests/interop.
"""
