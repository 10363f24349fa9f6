"""Hooks of ``nacre serve``: events of the audit, told to commands, by HTTP, and to Python.

Start at feed.py, which reads the table and knows what each hook has had; hook_process.py tells
hooks, in a process without rights. Imports audit and separate; the server process starts it, and
``nacre hook`` changes the table. Internal. Tests: tests/daemon/hooks.
"""
