"""``nacre-ssh-keysign``, in place of ssh-keysign(8): signs with the keys of this host.

Start at command.py.
Tests: tests/cli/keysign; beside ssh-keysign: tests/interop/test_hostbased.
"""
