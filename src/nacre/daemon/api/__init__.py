"""The server's side of the REST API: it starts the processes that have it, and ends them.

Start at plan.py. The processes are a program of their own, nacre.cli.api, which uses the store and
the control socket as the other programs do: the server reads nothing that they say.
"""
