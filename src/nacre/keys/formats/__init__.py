"""The formats of key files: OpenSSH, PEM and PKCS#8, PuTTY, RFC 4716, ssh.com.

Start at armor.py, which finds what is between BEGIN and END; keys/files.py recognises the format.
Tests: tests/keys/formats.
"""
