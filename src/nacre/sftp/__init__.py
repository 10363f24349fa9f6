"""Floor 2, beside crypto: SFTP version 3 and scp without I/O, over any stream of bytes."""
