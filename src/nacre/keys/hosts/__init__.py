"""Files and records of host keys: known_hosts, its lines as they are written, SSHFP, rotation.

Start at known_hosts.py.
Tests: tests/keys/hosts.
"""
