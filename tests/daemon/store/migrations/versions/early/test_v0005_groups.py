"""The revision that brought groups."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group
from nacre.keys import generate

KEY = generate("ssh-ed25519").public

BEFORE = """
CREATE TABLE users (
    name VARCHAR NOT NULL, password VARCHAR, auth VARCHAR NOT NULL, service VARCHAR NOT NULL,
    home VARCHAR, run_as VARCHAR, root VARCHAR, read_only BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL, created INTEGER NOT NULL, unsafe_root BOOLEAN NOT NULL,
    PRIMARY KEY (name)
);
CREATE INDEX users_by_auth ON users (auth);
CREATE TABLE keys (
    user VARCHAR NOT NULL, blob BLOB NOT NULL, comment VARCHAR NOT NULL, added INTEGER NOT NULL,
    options VARCHAR NOT NULL, PRIMARY KEY (user, blob),
    FOREIGN KEY(user) REFERENCES users (name) ON DELETE CASCADE
);
CREATE TABLE settings (name VARCHAR NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name));
INSERT INTO settings VALUES ('secret', zeroblob(32));
INSERT INTO users VALUES ('alice', 'hash', 'any', 'all', NULL, NULL, NULL, 0, 1, 7, 0);
INSERT INTO users VALUES ('bob', NULL, 'publickey', 'sftp', '/b', 'nobody', '/r', 1, 0, 8, 1);
PRAGMA user_version = 4;
"""


def test_users_and_keys_stay_and_defaults_are_not_said(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.executescript(BEFORE)
        row = ("bob", KEY.blob, "his", 9, "restrict")
        connection.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    with closing(UserStore(tmp_path / FILE, create=False)) as store:
        assert store.secret == bytes(32)
        alice, bob = store.own("alice"), store.own("bob")
        assert (alice.password, alice.disabled, alice.created) == ("hash", True, 7)
        said = alice.auth, alice.service, alice.read_only, alice.unsafe_root
        assert said == (None, None, None, None)
        assert (bob.auth, bob.service, bob.home, bob.run_as) == (
            "publickey",
            "sftp",
            "/b",
            "nobody",
        )
        assert (bob.root, bob.read_only, bob.unsafe_root) == ("/r", True, True)
        ((found,), ()) = (store.keys("bob"), store.keys("alice"))
        assert (found.key, found.comment, found.added, found.options) == (KEY, "his", 9, "restrict")
        store.groups.add(Group(name="g"))
        store.change("bob", groups=["g"])
        store.remove("bob")  # with what refers to the user
        assert store.groups.users("g") == []
        assert store.key_options("bob", KEY) is None
