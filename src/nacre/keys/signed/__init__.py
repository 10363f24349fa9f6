"""What is signed with keys, and lists of whom to trust: SSHSIG, allowed signers, revoked keys.

Start at sshsig.py, or revocation.py for the lists of OpenSSH (KRL).
Tests: tests/keys/signed.
"""
