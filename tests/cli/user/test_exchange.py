"""``nacre user import`` and ``export``."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from click.testing import CliRunner, Result

from nacre.cli.user.command import command
from nacre.crypto.password import verify_password
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import Group, StoredKey, StoredUser
from nacre.keys import generate
from nacre.limits import KIB, MIB

Nacre = Callable[..., Result]
ACCOUNT = ("--run-as", "nobody") if os.geteuid() == 0 else ()
KEY = generate("ssh-ed25519").public
OTHER = generate("ssh-ed25519").public


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def store(state: Path) -> Iterator[UserStore]:
    with closing(UserStore(state / FILE)) as store:
        yield store


@pytest.fixture
def user(state: Path) -> Nacre:
    def call(*words: object) -> Result:
        arguments = [*(str(word) for word in words), "--state", str(state)]
        return CliRunner().invoke(command, arguments)

    return call


def fill(store: UserStore) -> None:
    store.put(
        [
            Group(name="staff", hours="Mon-Fri", run_as="nobody", shared_quota_bytes=0),
            Group(name="files", root="/%u", shared_transfer_period="day"),
        ],
        [
            (
                StoredUser(
                    name="alice",
                    password="$argon2id$…",
                    groups=("staff", "files"),
                    read_only=False,
                    expires=0,
                    created=7,
                    password_changed=8,
                    must_change=True,
                    second_factor="required",
                    enrol_within=18000,
                    password_length=8,
                    password_history=3,
                    password_expires=0,
                ),
                [StoredKey(KEY, "a comment, with a comma", 8, 'command="ls",restrict')],
            ),
            (StoredUser(name="bob", disabled=True, groups=("staff",), created=9), []),
        ],
    )


@pytest.mark.parametrize("form", ["json", "csv"])
def test_what_is_exported_is_imported(
    form: str, store: UserStore, user: Nacre, tmp_path: Path
) -> None:
    fill(store)
    done = user("export", "--format", form)
    assert done.exit_code == 0, done.output
    file = tmp_path / f"users.{form}"
    file.write_text(done.stdout)
    before = list(store.stored()), store.groups.all()
    for name in ("alice", "bob"):
        store.remove(name)
    if form == "json":
        for name in ("staff", "files"):
            store.groups.remove(name)
    done = user("import", file)
    assert done.exit_code == 0, done.output
    groups = 2 if form == "json" else 0
    assert done.output == (f"2 users and {groups} groups added, 0 users and 0 groups replaced\n")
    users, groups_after = list(store.stored()), store.groups.all()
    if form == "json":  # CSV has no times of creation
        assert [one for one, _ in users] == [one for one, _ in before[0]]
    assert [one.name for one in groups_after] == [one.name for one in before[1]]
    ((alice, (key,)), (bob, keys)) = users
    assert (alice.groups, alice.read_only, alice.expires) == (("staff", "files"), False, 0)
    assert (key.key, key.comment) == (KEY, "a comment, with a comma")
    assert key.options == 'command="ls",restrict'
    assert (bob.disabled, keys) == (True, [])
    assert (alice.password_changed, alice.must_change) == (8, True)
    assert (alice.second_factor, alice.enrol_within, alice.password_expires) == (
        "required",
        18000,
        0,
    )
    assert (alice.password_length, alice.password_history) == (8, 3)


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("second_factor", "maybe", "second_factor is 'maybe'"),
        ("password_history", "25", "password_history is 25, and not from 0 to 24"),
        ("password_length", "many", "is of another form"),
        ("password_expires", "soon", "password_expires: 'soon' is no span"),
    ],
)
def test_settings_of_passwords_that_can_not_be(
    column: str, cell: str, said: str, store: UserStore, user: Nacre, tmp_path: Path
) -> None:
    file = tmp_path / "users.csv"
    file.write_text(f"name,{column}\nalice,{cell}\n")
    done = user("import", file)
    assert (done.exit_code, said in done.output) == (1, True), done.output


def test_spans_of_a_table(store: UserStore, user: Nacre, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text("name,password_expires,enrol_within\nalice,90d,never\n")
    done = user("import", file, *ACCOUNT)
    assert done.exit_code == 0, done.output
    assert (store.user("alice").password_expires, store.user("alice").enrol_within) == (7776000, 0)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_what_is_said_of_certificates_comes_back(
    store: UserStore, user: Nacre, tmp_path: Path, form: str
) -> None:
    said: dict[str, Any] = {
        "certificate_principals": "%u,web",
        "certificate_options": "no-pty\nforce-command=a b",
    }
    users = [
        StoredUser(name="alice", run_as="nobody", certificate_valid=5400, **said),
        StoredUser(name="bob", run_as="nobody", certificate_valid=0),
    ]
    store.add_all([(one, []) for one in users])
    file = tmp_path / f"users.{form}"
    file.write_text(user("export", "--format", form).stdout)
    done = user("import", file, "--update")
    assert done.exit_code == 0, done.output
    names = ("certificate_valid", *said)
    for one in users:
        found = store.own(one.name)
        assert [getattr(found, name) for name in names] == [getattr(one, name) for name in names]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("certificate_valid", 5),
        ("certificate_valid", -60),
        ("certificate_valid", 10**30),
        ("certificate_principals", "a,,b"),
        ("certificate_options", "permit-everything"),
    ],
)
def test_certificates_that_can_not_be(
    user: Nacre, tmp_path: Path, name: str, value: object
) -> None:
    file = tmp_path / "users.json"
    file.write_text(json.dumps({"nacre": 1, "users": [{"name": "alice", name: value}]}))
    done = user("import", file)
    assert (done.exit_code, f"user 1: {name}: " in done.output) == (1, True), done.output


def test_some_users_are_exported(store: UserStore, user: Nacre) -> None:
    fill(store)
    found = json.loads(user("export", "bob").stdout)
    assert [row["name"] for row in found["users"]] == ["bob"]
    rows = list(csv.DictReader(StringIO(user("export", "bob", "--format", "csv").stdout)))
    assert [(row["name"], row["disabled"]) for row in rows] == [("bob", "yes")]
    done = user("export", "carol")
    assert (done.exit_code, done.output) == (1, "Error: there is no user 'carol'\n")


def test_users_of_a_table(store: UserStore, user: Nacre, tmp_path: Path) -> None:
    store.groups.add(Group(name="staff", run_as="nobody"), Group(name="files"))
    file = tmp_path / "users.csv"
    file.write_bytes(
        b"\xef\xbb\xbfname,password,groups,expires,keys,read_only\r\n"
        b'alice,"a, b",staff;files,2030-01-01,,yes\r\n'
        + f'bob,,staff,never,"{KEY} x\n{OTHER}",\r\n'.encode()
    )
    assert user("import", file, "--dry-run").output == (
        "2 users and 0 groups would be added, 0 users and 0 groups would be replaced\n"
    )
    assert list(store.stored()) == []
    assert user("import", file).exit_code == 0
    ((alice, _), (bob, keys)) = store.stored()
    assert alice.password is not None
    assert verify_password(alice.password, b"a, b")
    assert (alice.groups, alice.read_only) == (("staff", "files"), True)
    assert (bob.password, bob.expires, {key.key for key in keys}) == (None, 0, {KEY, OTHER})
    done = user("import", file)
    assert (done.exit_code, "there is a user alice already" in done.output) == (1, True)
    file.write_text("name,hours\nalice,Mon\n")
    done = user("import", file, "--update", "--group", "staff")
    assert done.output == "0 users and 0 groups added, 1 users and 0 groups replaced\n"
    ((alice, _), (bob, _)) = store.stored()
    assert (alice.password, alice.groups, alice.hours) == (None, ("staff",), "Mon")
    assert bob.name == "bob"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: there is no column name"),
        ("name,colour\na,red\n", "line 1: the column 'colour' is none of name, password"),
        ("name,auth\na,some\n", "line 2: auth is 'some'"),
        ("name\na,b\n", "line 2: the line has more or fewer cells"),
        ("name\na\n-b\n", "line 3: '-b' can't be a user's name"),
        ("name,hours\na,8-9\n", "line 2: '8-9' is not a time of the week"),
        ("name,expires\na,soon\n", "line 2: expires: 'soon' is no time"),
        ("name,disabled\na,perhaps\n", "line 2: 'perhaps' is neither yes nor no"),
        ("name,keys\na,ssh-ed25519 AAAA\n", "line 2: key 1: "),
        ("name,password_hash\na,$6$x\n", "line 2: the password's hash is neither"),
        ("name,groups\na,none\n", "there is no group 'none'"),
        ('name\n"a\n', "is no csv"),
        ("name\na\na\n", "there is a user a already"),
        ("name\n", "has no users"),
    ],
)
def test_a_table_with_a_mistake_adds_nobody(
    store: UserStore, user: Nacre, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "users.csv"
    file.write_text(text)
    done = user("import", file, *ACCOUNT)
    assert done.exit_code == 1
    assert said in done.output
    assert list(store.stored()) == []


def test_keys_of_a_directory(store: UserStore, user: Nacre, tmp_path: Path) -> None:
    homes = tmp_path / "homes"
    (homes / "alice" / ".ssh").mkdir(parents=True)
    (homes / "alice" / ".ssh" / "authorized_keys").write_text(f"# hers\n{KEY}\n{OTHER} x\n")
    (homes / "nobody-here").mkdir()
    (homes / "bob.pub").write_text(f"restrict {KEY} b\n")
    done = user("import", homes, "--format", "authorized_keys", *ACCOUNT)
    assert done.exit_code == 0, done.output
    found = {one.name: [key.options for key in keys] for one, keys in store.stored()}
    assert found == {"alice": ["", ""], "bob": ["restrict"]}


def test_a_dump_of_sftpgo(store: UserStore, user: Nacre, tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    dump = {
        "users": [
            {
                "username": "alice",
                "status": 1,
                "password": hashed,
                "public_keys": [f"{KEY} x"],
                "home_dir": "/srv/alice",
                "expiration_date": 1900000000000,
                "permissions": {"/": ["list", "download"]},
                "filters": {"allowed_ip": ["192.0.2.0/24"], "denied_ip": ["192.0.2.7/32"]},
                "groups": [{"name": "second", "type": 2}, {"name": "first", "type": 1}],
            },
            {
                "username": "bob",
                "status": 0,
                "password": "$pbkdf2-sha256$x",
                "permissions": {"/": ["*"], "/in": ["list", "create_dirs", "chown"], "/no": []},
                "quota_size": 5,
                "quota_files": 7,
                "upload_bandwidth": 128,
                "download_data_transfer": 2,
                "total_data_transfer": 3,
            },
        ],
        "groups": [
            {"name": "first", "user_settings": {"home_dir": "/srv/%username%"}},
            {"name": "second"},
        ],
    }
    file = tmp_path / "dump"
    file.write_text(json.dumps(dump))
    done = user("import", file, "--format", "sftpgo", *ACCOUNT, "--root", "/srv/rest")
    assert done.exit_code == 0, done.output
    assert "bob: no login can verify a password's hash of this kind" in done.stderr
    assert "bob: the right chown to /in is not taken" in done.stderr
    assert "bob: total_data_transfer is not taken" in done.stderr
    ((alice, keys), (bob, _)) = store.stored()
    assert (alice.groups, alice.service, alice.root) == (("first", "second"), "sftp", "/srv/alice")
    assert (alice.expires, alice.read_only) == (1900000000, True)
    assert alice.sources == "!192.0.2.7/32,192.0.2.0/24"
    assert alice.password is not None
    assert verify_password(alice.password, b"secret")
    assert [key.key for key in keys] == [KEY]
    assert (bob.disabled, bob.password, bob.root) == (True, None, "/srv/rest")
    assert bob.rights == "/:*\n/in:list,mkdir\n/no:none"
    assert (bob.quota_bytes, bob.quota_files) == (5, 7)
    assert (bob.rate_up, bob.rate_down) == (128 * KIB, None)
    assert (bob.transfer_down, bob.transfer_period) == (2 * MIB, "total")
    assert store.groups.find("first").root == "/srv/%u"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("users.json", "[]", 'does not begin with "nacre": 1'),
        ("users.json", "{", "is no json"),
        ("users.json", '{"nacre": 1, "users": [{"name": "a", "groups": 5}]}', "user 1"),
        ("users.json", '{"nacre": 1, "users": [5]}', "user 1 is of another form"),
        ("users.json", '{"nacre": 1, "groups": [{"name": "g", "root": "/%x"}]}', "%x"),
        (
            "users.json",
            '{"nacre": 1, "users": [{"name": "a", "rights": "/x:lst"}]}',
            "user 1: rights: 'lst' in the rule of /x",
        ),
        ("users.txt", "x", "give --format, one of json, csv"),
        ("users.json", None, "can't read"),
    ],
)
def test_files_that_can_not_be(
    user: Nacre, tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    done = user("import", tmp_path / name)
    assert done.exit_code == 1
    assert said in done.output
