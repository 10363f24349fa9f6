"""A policy of one's own: users in SQLite. python examples/database_server.py PORT DATABASE

To add a user: python examples/database_server.py DATABASE add NAME PASSWORD [PUBLICKEY]
"""

import asyncio
import hashlib
import hmac
import os
import sqlite3
import sys
from contextlib import closing

import nacre

TABLES = """
    CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, salt BLOB, hash BLOB);
    CREATE TABLE IF NOT EXISTS keys (name TEXT, key TEXT);
"""


def digest(password: str, salt: bytes) -> bytes:
    given = password.encode(errors="surrogateescape")
    return hashlib.scrypt(given, salt=salt, n=2**14, r=8, p=1)


class Database(nacre.Policy):
    """Users who log in with a password or with one of their keys, and may run commands."""

    def __init__(self, path: str) -> None:
        self.path = path
        with closing(sqlite3.connect(path)) as database:
            database.executescript(TABLES)

    def row(self, query: str, *values: str) -> tuple | None:
        with closing(sqlite3.connect(self.path)) as database:
            return database.execute(query, values).fetchone()

    async def password(self, user, password, connection):
        # A hash takes long on purpose: in a thread, other clients are served meanwhile.
        return await asyncio.to_thread(self.verify, user, password)

    def verify(self, user: str, password: str) -> bool:
        row = self.row("SELECT salt, hash FROM users WHERE name = ?", user)
        salt, known = row or (bytes(16), b"")  # an unknown user takes as long
        return hmac.compare_digest(digest(password, salt), known)

    async def public_key(self, user, key, algorithm, signed, connection):
        query = "SELECT 1 FROM keys WHERE name = ? AND key = ?"
        return await asyncio.to_thread(self.row, query, user, str(key)) is not None

    def add(self, user: str, password: str, *keys: str) -> None:
        salt = os.urandom(16)
        with closing(sqlite3.connect(self.path)) as database, database:
            row = (user, salt, digest(password, salt))
            database.execute("INSERT INTO users VALUES (?, ?, ?)", row)
            for key in keys:
                public, _ = nacre.load_public(key)
                database.execute("INSERT INTO keys VALUES (?, ?)", (user, str(public)))


async def answer(session: nacre.Session) -> int:
    await session.stdout.write(f"{session.user} is logged in\n".encode())
    return 0


async def main(port: int, path: str) -> None:
    key = nacre.generate("ssh-ed25519")
    async with nacre.listen(
        port=port, host_keys=[key], policy=Database(path), handler=answer
    ) as server:
        print(f"ssh -p {server.port} NAME@127.0.0.1", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    if sys.argv[2] == "add":
        Database(sys.argv[1]).add(*sys.argv[3:])
    else:
        asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
