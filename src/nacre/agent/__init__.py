"""SSH agents over asyncio, both roles: programs that hold private keys and sign with them.

Start at client.py (:class:`~nacre.Agent`, which asks a running agent). The messages are in
nacre.keys.agent, without I/O.
Imports keys and aio; knows nothing of connections.
Use nacre.Agent. Tests: tests/agent; real agents: tests/interop.
"""
