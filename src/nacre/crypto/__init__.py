"""Floor 2: ciphers, MACs, key exchange maths. The only floor that imports `cryptography`."""
