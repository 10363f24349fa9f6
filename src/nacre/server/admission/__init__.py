"""What the connections of all clients share: who may connect, and what one network may cost it.

startups.py counts the connections that log in, sources.py has the networks and their penalties,
refusals.py the log of those that are not admitted, threads.py threads in which networks take turns.
Internal: use nacre.MaxStartups and nacre.Startups. Tests: tests/server/admission.
"""
