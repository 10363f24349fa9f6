"""A store of the fifth version, from which the later revisions begin."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from nacre.daemon.store.store import FILE, UserStore

_TEXT = """
CREATE TABLE users (
    name VARCHAR NOT NULL, password VARCHAR, disabled BOOLEAN NOT NULL, created INTEGER NOT NULL,
    auth VARCHAR, service VARCHAR, home VARCHAR, run_as VARCHAR, root VARCHAR, read_only BOOLEAN,
    unsafe_root BOOLEAN, expires INTEGER, sources VARCHAR, hours VARCHAR, PRIMARY KEY (name)
);
CREATE INDEX users_by_auth ON users (auth);
CREATE TABLE groups (
    name VARCHAR NOT NULL, created INTEGER NOT NULL,
    auth VARCHAR, service VARCHAR, home VARCHAR, run_as VARCHAR, root VARCHAR, read_only BOOLEAN,
    unsafe_root BOOLEAN, expires INTEGER, sources VARCHAR, hours VARCHAR, PRIMARY KEY (name)
);
CREATE TABLE members (
    user VARCHAR NOT NULL, position INTEGER NOT NULL, "group" VARCHAR NOT NULL,
    PRIMARY KEY (user, position),
    FOREIGN KEY(user) REFERENCES users (name) ON DELETE CASCADE,
    FOREIGN KEY("group") REFERENCES groups (name)
);
CREATE INDEX members_by_group ON members ("group");
CREATE TABLE keys (
    user VARCHAR NOT NULL, blob BLOB NOT NULL, comment VARCHAR NOT NULL, added INTEGER NOT NULL,
    options VARCHAR NOT NULL, PRIMARY KEY (user, blob),
    FOREIGN KEY(user) REFERENCES users (name) ON DELETE CASCADE
);
CREATE TABLE settings (name VARCHAR NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name));
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('0005');
INSERT INTO settings VALUES ('secret', zeroblob(32));
INSERT INTO users (name, password, disabled, created) VALUES ('alice', 'hash', 0, 1000);
INSERT INTO groups (name, created) VALUES ('staff', 8);
INSERT INTO members VALUES ('alice', 0, 'staff');
PRAGMA user_version = 5;
"""


def fifth_file(directory: Path) -> Path:
    """Make the file of a store of the fifth version, with alice in the group staff."""
    file = directory / FILE
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(_TEXT)
    return file


def fifth_store(directory: Path) -> UserStore:
    """Make such a store, and open it."""
    return UserStore(fifth_file(directory), create=False)
