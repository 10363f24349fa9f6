"""The messages of the SSH agent protocol, of both roles, and what limits a key in an agent.

Start at messages.py (what a client sends and reads), then requests.py (what an agent reads and
answers). nacre.agent has the programs.
Tests: tests/keys/agents.
"""
