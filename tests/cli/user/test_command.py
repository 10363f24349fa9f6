"""``nacre user``."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.user.command import command
from nacre.crypto.password import verify_password
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import LISTED, Group, StoredUser
from nacre.keys import dump_private, generate

Nacre = Callable[..., Result]
ROOT = os.geteuid() == 0
KEY = generate("ssh-ed25519", comment="laptop")
as_root = pytest.mark.skipif(not ROOT, reason="only root's server needs an account")


@pytest.fixture
def user(tmp_path: Path) -> Nacre:
    def call(*words: object, typed: str = "") -> Result:
        arguments = [str(word) for word in words]
        return CliRunner().invoke(
            command, [*arguments, "--state", str(tmp_path / "state")], input=typed
        )

    (tmp_path / "state").mkdir(mode=0o700)
    UserStore(tmp_path / "state" / FILE).close()
    return call


@pytest.fixture
def add(user: Nacre) -> Nacre:
    """Add a user, with an account where root needs one."""
    account = ["--run-as", "nobody"] if ROOT else []

    def call(*words: object, typed: str = "secret\n") -> Result:
        return user("add", *words, *account, typed=typed)

    return call


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "id.pub"
    file.write_text(f"{KEY.public} laptop\n")
    return file


def listed(user: Nacre) -> list[dict[str, object]]:
    done = user("list", "--json")
    assert done.exit_code == 0, done.output
    users: list[dict[str, object]] = json.loads(done.stdout)
    return users


def test_no_users(user: Nacre) -> None:
    assert listed(user) == []
    done = user("list")
    assert (done.exit_code, done.output) == (0, "")


def test_add_with_everything(user: Nacre, add: Nacre, key_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    options = ["--auth", "password-publickey", "--service", "sftp", "--home", home]
    done = add("alice", "--password-stdin", "--key", key_file, *options)
    assert done.exit_code == 0, done.output
    (alice,) = listed(user)
    assert alice.pop("created")
    assert alice == {
        "name": "alice",
        "auth": "password-publickey",
        "service": "sftp",
        "password": True,
        "keys": 1,
        "disabled": False,
        "run_as": "nobody" if ROOT else None,
        "home": str(home),
        "root": None,
        "unsafe_root": False,
        "read_only": False,
        "folders": None,
        "rights": None,
        "file_key": None,
        "uploads": "direct",
        "partial_uploads": "keep",
        "certificate_valid": None,
        "certificate_principals": None,
        "certificate_options": None,
        "quota_bytes": None,
        "quota_files": None,
        "transfer_up": None,
        "transfer_down": None,
        "transfer_period": "month",
        "rate_up": None,
        "rate_down": None,
        "role": "none",
        "groups": [],
        "expires": None,
        "sources": None,
        "hours": None,
        "max_sessions": None,
        "second_factor": "none",
        "enrol_within": None,
        "password_length": None,
        "password_history": None,
        "password_expires": None,
        "record": "output",
    }
    assert "alice" in user("list").stdout.split()


def test_password_is_one_line_and_hashed(add: Nacre, tmp_path: Path) -> None:
    assert add("alice", "--password-stdin", typed="two words ä\r\nmore\n").exit_code == 0
    store = UserStore(tmp_path / "state" / FILE)
    stored = store.user("alice").password
    store.close()
    assert stored is not None
    assert stored.startswith("$argon2id$")
    assert verify_password(stored, "two words ä".encode())


@pytest.mark.parametrize("typed", ["", "\n"])
def test_empty_password_is_refused(user: Nacre, add: Nacre, typed: str) -> None:
    done = add("alice", "--password-stdin", typed=typed)
    assert done.exit_code == 1
    assert "empty" in done.output
    assert listed(user) == []


def test_without_terminal_nothing_is_asked(add: Nacre) -> None:
    done = add("alice")
    assert done.exit_code == 1
    assert "--password-stdin" in done.output


def test_key_alone_needs_no_password(user: Nacre, add: Nacre, key_file: Path) -> None:
    done = add("alice", "--key", key_file)
    assert done.exit_code == 0
    assert listed(user)[0]["password"] is False
    done = add("bob", "--auth", "publickey")
    assert done.exit_code == 0
    assert "nacre user key add bob" in done.stderr


def test_names(add: Nacre) -> None:
    assert add("alice", "--password-stdin").exit_code == 0
    done = add("alice", "--password-stdin")
    assert (done.exit_code, "already" in done.output) == (1, True)
    done = add("a b", "--password-stdin")
    assert (done.exit_code, "can't be a user's name" in done.output) == (1, True)


def test_usage_errors(user: Nacre, add: Nacre) -> None:
    assert add("alice", "--password-stdin", "--key", "-").exit_code == 2
    assert add("alice", "--auth", "magic").exit_code == 2
    assert user("add").exit_code == 2
    assert user("set", "alice").exit_code == 2
    assert user("passwd", "alice", "--delete", "--password-stdin").exit_code == 2


@as_root
def test_root_must_name_an_account(user: Nacre) -> None:
    done = user("add", "alice", "--password-stdin", typed="secret\n")
    assert done.exit_code == 1
    assert "--run-as ACCOUNT" in done.output
    assert listed(user) == []
    done = user("add", "alice", "--password-stdin", "--run-as", "ghost-account", typed="x\n")
    assert (done.exit_code, "no account" in done.output) == (1, True)


@as_root
def test_account_of_all_others_is_taken(user: Nacre, add: Nacre) -> None:
    assert add("alice", "--password-stdin").exit_code == 0
    done = user("add", "bob", "--password-stdin", typed="secret\n")
    assert done.exit_code == 0
    assert "run as nobody" in done.stderr
    assert {one["run_as"] for one in listed(user)} == {"nobody"}
    user("add", "carol", "--password-stdin", "--run-as", "daemon", typed="secret\n")
    assert user("add", "dave", "--password-stdin", typed="secret\n").exit_code == 1


@as_root
def test_root_is_never_taken_unasked(user: Nacre) -> None:
    done = user("add", "alice", "--password-stdin", "--run-as", "root", typed="secret\n")
    assert done.exit_code == 0
    assert user("add", "bob", "--password-stdin", typed="secret\n").exit_code == 1


def test_set(user: Nacre, add: Nacre) -> None:
    add("alice", "--password-stdin")
    assert user("set", "alice", "--auth", "password", "--disable").exit_code == 0
    (alice,) = listed(user)
    assert (alice["auth"], alice["service"], alice["disabled"]) == ("password", "all", True)
    assert user("set", "alice", "--enable").exit_code == 0
    assert listed(user)[0]["disabled"] is False
    assert user("set", "ghost", "--auth", "any").exit_code == 1
    assert user("set", "alice", "--run-as", "ghost-account").exit_code == 1


def test_passwd(user: Nacre, add: Nacre, tmp_path: Path) -> None:
    add("alice", "--password-stdin")
    assert user("passwd", "alice", "--password-stdin", typed="new\n").exit_code == 0
    store = UserStore(tmp_path / "state" / FILE)
    stored = store.user("alice").password
    assert stored is not None
    assert verify_password(stored, b"new")
    assert user("passwd", "alice", "--delete").exit_code == 0
    assert store.user("alice").password is None
    store.close()
    assert user("passwd", "ghost", "--password-stdin", typed="x\n").exit_code == 1


def test_remove(user: Nacre, add: Nacre) -> None:
    add("alice", "--password-stdin")
    add("bob", "--password-stdin")
    assert user("remove", "alice", "bob").exit_code == 0
    assert listed(user) == []
    done = user("remove", "alice")
    assert (done.exit_code, "no user 'alice'" in done.output) == (1, True)


def test_keys(user: Nacre, add: Nacre, key_file: Path, tmp_path: Path) -> None:
    add("alice", "--password-stdin")
    done = user("key", "add", "alice", key_file)
    assert KEY.public.fingerprint() in done.stdout
    other = generate("ecdsa-sha2-nistp256").public
    assert user("key", "add", "alice", "-", typed=f"# mine\n{other} home\n").exit_code == 0
    keys = json.loads(user("key", "list", "alice", "--json").stdout)
    assert {(key["type"], key["comment"]) for key in keys} == {
        ("ssh-ed25519", "laptop"),
        ("ecdsa-sha2-nistp256", "home"),
    }
    assert user("key", "remove", "alice", other.fingerprint()).exit_code == 0
    assert user("key", "remove", "alice", key_file).exit_code == 0
    assert json.loads(user("key", "list", "alice", "--json").stdout) == []
    done = user("key", "remove", "alice", other.fingerprint())
    assert (done.exit_code, "has no key" in done.output) == (1, True)
    assert user("key", "list", "ghost").exit_code == 1


def test_options_of_keys(user: Nacre, add: Nacre, key_file: Path, tmp_path: Path) -> None:
    add("alice", "--password-stdin")

    def options() -> list[str]:
        keys = json.loads(user("key", "list", "alice", "--json").stdout)
        return [key["options"] for key in keys]

    limit = 'restrict,command="echo \\"hi\\""'
    assert user("key", "add", "alice", "--options", limit, key_file).exit_code == 0
    assert options() == [limit]
    assert "restrict,command=" in user("key", "list", "alice").stdout
    assert user("key", "add", "alice", key_file).exit_code == 0
    assert options() == [""]
    line = f"no-pty {KEY.public} home\n"
    assert user("key", "add", "alice", "-", typed=line).exit_code == 0
    assert options() == ["no-pty"]
    for given, typed, said in (
        ("nonsense", f"{KEY.public}\n", "--options: the option nonsense is unknown"),
        ("restrict", line, "options of its own"),
    ):
        done = user("key", "add", "alice", "--options", given, "-", typed=typed)
        assert (done.exit_code, said in done.output) == (1, True)
    assert options() == ["no-pty"]


def test_keys_expire(user: Nacre, add: Nacre, key_file: Path) -> None:
    add("alice", "--password-stdin")

    def listed_key() -> dict[str, object]:
        (key,) = json.loads(user("key", "list", "alice", "--json").stdout)
        return {name: key[name] for name in ("expires", "expired", "options")}

    def add_key(*words: object, typed: str = "") -> None:
        done = user("key", "add", "alice", *words, typed=typed)
        assert done.exit_code == 0, done.output

    add_key(key_file)
    assert listed_key() == {"expires": None, "expired": False, "options": ""}
    add_key(key_file, "--expires", "+90d", "--options", "restrict")
    found = listed_key()
    assert (found["expired"], str(found["options"])[:23]) == (False, 'restrict,expiry-time="2')
    assert str(found["expires"]).replace("-", "").replace(":", "").replace("T", "") in str(
        found["options"]
    )
    add_key(key_file, "--expires", "2001-02-03T04:05")
    assert listed_key()["expired"] is True
    assert "yes" in user("key", "list", "alice").stdout.split()
    add_key(key_file, "--expires", "never")
    assert listed_key()["options"] == ""
    # Of two ends the first one counts.
    line = f'expiry-time="20300101Z" {KEY.public}'
    add_key("-", "--expires", "2001-01-01", typed=line)
    assert listed_key()["expired"] is True
    assert user("key", "add", "alice", key_file, "--expires", "soon").exit_code == 2


# --- what passwords must be ---


def test_passwords_that_the_settings_refuse(user: Nacre, add: Nacre, tmp_path: Path) -> None:
    options = ["--password-length", "6", "--password-history", "2", "--password-stdin"]
    done = add("alice", *options, typed="short\n")
    assert (done.exit_code, "alice: the password has 5 characters" in done.output) == (1, True)
    assert listed(user) == []
    assert add("alice", *options, typed="secret\n").exit_code == 0

    def passwd(typed: str, *words: str) -> str:
        done = user("passwd", "alice", "--password-stdin", *words, typed=f"{typed}\n")
        return "" if done.exit_code == 0 else done.output

    assert "5 characters" in passwd("short")
    assert "was used before" in passwd("secret")
    assert passwd("second one", "--must-change") == ""
    assert "was used before" in passwd("secret")
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        assert store.user("alice").must_change
    assert passwd("third one") == ""
    assert passwd("secret") == ""
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        assert not store.user("alice").must_change
    assert user("passwd", "alice", "--delete", "--must-change").exit_code == 2
    done = add("bob.b", "--password-stdin", typed="Bob.B\n")
    assert (done.exit_code, "is the user's name" in done.output) == (1, True)
    file = tmp_path / "users.csv"
    file.write_text("name,password,password_length\ncarol,short,6\n")
    account = ["--run-as", "nobody"] if ROOT else []
    done = user("import", file, *account)
    assert (done.exit_code, "carol: the password has 5" in done.output) == (1, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no public key"),
        ("ssh-ed25519 nonsense\n", "line 1"),
        (f'nonsense="x" {KEY.public}\n', "nonsense is unknown"),
        (dump_private(KEY), "is a private key"),
        (dump_private(generate("rsa1", bits=1024)), "is a private key"),
    ],
    ids=["empty", "damaged", "with an unknown option", "private", "private of SSH-1"],
)
def test_files_that_are_no_keys(
    user: Nacre, add: Nacre, tmp_path: Path, text: str | bytes, said: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    done = add("alice", "--key", file)
    assert done.exit_code == 1
    assert said in done.output
    assert listed(user) == []
    done = add("alice", "--key", tmp_path / "missing")
    assert (done.exit_code, "can't read" in done.output) == (1, True)


def test_comment_can_not_repaint_the_terminal(user: Nacre, add: Nacre, tmp_path: Path) -> None:
    file = tmp_path / "id.pub"
    file.write_text(f"{KEY.public} \x1b[2J\n")
    add("alice", "--key", file)
    assert "\x1b" not in user("key", "list", "alice").stdout


@pytest.mark.slow
def test_password_is_asked_twice_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    nacre = Path(sys.executable).parent / "nacre"
    account = ["--run-as", "nobody"] if ROOT else []
    with subprocess.Popen(
        [nacre, "user", "add", "alice", "--state", tmp_path / "state", *account],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        for question in (b"Password for alice: ", b"Repeat for confirmation: "):
            while question not in shown:
                shown += os.read(ours, 1024)
            os.write(ours, b"secret\n")
        assert process.wait(20) == 0
    os.close(ours)
    assert b"secret" not in shown
    store = UserStore(tmp_path / "state" / FILE)
    stored = store.user("alice").password
    store.close()
    assert stored is not None
    assert verify_password(stored, b"secret")


# --- roots ---


def test_a_user_with_files_only_needs_a_root_that_gives_nothing_else_away(
    user: Nacre, add: Nacre, tmp_path: Path
) -> None:
    bad: list[tuple[object, ...]] = [
        (),
        ("--root", "/"),
        ("--home", tmp_path),
        ("--root", tmp_path / "state" / "files"),
        ("--root", f"file://{tmp_path}"),
        ("--home", Path.home() if not ROOT else "/nonexistent/.."),
    ]
    for options in bad:
        done = add("bob", "--service", "sftp", "--auth", "publickey", *options)
        assert done.exit_code == 1, done.output
        assert "--root" in done.output
    assert listed(user) == []
    assert add("bob", "--auth", "publickey").exit_code == 0
    assert user("set", "bob", "--service", "sftp").exit_code == 1
    assert user("set", "bob", "--service", "sftp", "--root", tmp_path).exit_code == 1
    assert user("set", "bob", "--service", "sftp", "--root", tmp_path / "f").exit_code == 0
    assert user("set", "bob", "--home", "/").exit_code == 0  # the root is elsewhere
    assert user("set", "bob", "--root", "/").exit_code == 1
    assert user("set", "bob", "--root", "/", "--unsafe-root").exit_code == 0
    assert user("set", "bob", "--safe-root").exit_code == 1
    assert [(row["root"], row["unsafe_root"]) for row in listed(user)] == [("/", True)]


# --- several at once ---


def hashes(tmp_path: Path) -> dict[str, str | None]:
    store = UserStore(tmp_path / "state" / FILE)
    names = [row[LISTED.index("name")] for row in store.listing()]
    found = {name: store.user(name).password for name in names}
    store.close()
    return found


def test_several_names_with_a_line_for_each(user: Nacre, add: Nacre, tmp_path: Path) -> None:
    options = ["--password-stdin", "--home", "/srv/%u/100%%", "--root", "/srv/%u"]
    assert add("a", "b", *options, typed="one\ntwo\n").exit_code == 0
    assert [(row["home"], row["root"]) for row in listed(user)] == [
        ("/srv/a/100%", "/srv/a"),
        ("/srv/b/100%", "/srv/b"),
    ]
    for name, password in (("a", b"one"), ("b", b"two")):
        stored = hashes(tmp_path)[name]
        assert stored is not None
        assert verify_password(stored, password)
    done = add("c", "d", "--password-stdin", typed="one\n")
    assert (done.exit_code, "empty" in done.output) == (1, True)
    assert add("c", "b", "--password-stdin", typed="one\ntwo\n").exit_code == 1
    assert [row["name"] for row in listed(user)] == ["a", "b"]
    assert add("c", "--home", "/srv/%x", "--password-stdin").exit_code == 1


def test_users_from_a_file(user: Nacre, add: Nacre, tmp_path: Path, key_file: Path) -> None:
    file = tmp_path / "users"
    other = generate("ssh-ed25519").public
    file.write_text(
        f"# ours\nalice:pass: word \n\nbob {other} laptop\nbob {KEY.public}\nalice {KEY.public}\n"
        "carol\n"
    )
    done = add("--from", file)
    assert done.exit_code == 0, done.output
    assert [(row["name"], row["password"], row["keys"]) for row in listed(user)] == [
        ("alice", True, 1),
        ("bob", False, 2),
        ("carol", False, 0),
    ]
    stored = hashes(tmp_path)["alice"]
    assert stored is not None
    assert verify_password(stored, b"pass: word ")
    assert "carol can't log in" in done.stderr
    done = add("--from", "-", "--key", key_file, typed="dora:secret\n")
    assert done.exit_code == 0, done.output
    assert [(row["name"], row["keys"]) for row in listed(user)][-1] == ("dora", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no users"),
        ("a:\n", "line 1: the password is empty"),
        pytest.param(f"a:{'x' * 8193}\n", "line 1: the password has 8193 bytes", id="long"),
        ("x:y\na b:c\n", "line 2"),
        ("a:b\na:c\n", "a second password for a"),
        (":b\n", "no name"),
        ("-a:b\n", "can't be a user's name"),
        pytest.param(f"a nonsense {KEY.public}\n", "nonsense is unknown", id="options"),
        ("a some words\n", "line 1"),
        ("alice:x\n", "already"),
    ],
)
def test_a_file_with_a_mistake_adds_nobody(
    user: Nacre, add: Nacre, tmp_path: Path, text: str, said: str
) -> None:
    assert add("alice", "--auth", "publickey").exit_code == 0
    file = tmp_path / "users"
    file.write_text(text)
    done = add("--from", file)
    assert done.exit_code == 1
    assert said in done.output
    assert [row["name"] for row in listed(user)] == ["alice"]


def test_names_or_a_file(add: Nacre, tmp_path: Path) -> None:
    assert add("alice", "--from", tmp_path / "x").exit_code == 2
    assert add("--from", tmp_path / "missing").exit_code == 1
    assert add("--from", "-", "--key", "-").exit_code == 2


# --- passwords that no login can send, and stores that are not there ---


def test_a_password_that_no_login_can_send_is_refused(user: Nacre, add: Nacre) -> None:
    done = add("alice", "--password-stdin", typed="x" * 8193 + "\n")
    assert (done.exit_code, "8193 bytes" in done.output) == (1, True)
    assert add("alice", "--password-stdin", typed="x" * 8192 + "\n").exit_code == 0
    done = user("passwd", "alice", "--password-stdin", typed="x" * 8193 + "\n")
    assert (done.exit_code, "8193 bytes" in done.output) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        "list",
        "list --json",
        "key list alice",
        "key add alice {key}",
        "key remove alice SHA256:x",
        "set alice --disable",
        "passwd alice --delete",
        "remove alice",
    ],
)
def test_only_add_makes_a_store(tmp_path: Path, key_file: Path, words: str) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o700)
    for state in (tmp_path / "typo" / "deep", there):
        arguments = [*words.format(key=key_file).split(), "--state", str(state)]
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 1
        assert "--state" in done.output
    assert not (tmp_path / "typo").exists()
    assert list(there.iterdir()) == []


@pytest.mark.slow
def test_many_rows_look_like_few(user: Nacre, tmp_path: Path) -> None:
    store = UserStore(tmp_path / "state" / FILE)
    store.add_all(
        (StoredUser(name=f"u{number:04}", home=f"/h/é{number}"), ()) for number in range(2500)
    )
    store.close()
    rows = listed(user)
    assert [row["name"] for row in rows] == [f"u{number:04}" for number in range(2500)]
    assert user("list", "--json").stdout == json.dumps(rows, indent=2) + "\n"
    lines = user("list").stdout.splitlines()
    assert len(lines) == 2501
    assert len({line.index("/h/") for line in lines[1:]}) == 1


# --- groups, and what they give ---


def test_a_user_inherits_of_the_first_group_that_says_it(user: Nacre, tmp_path: Path) -> None:
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        store.groups.add(
            Group(
                name="staff",
                hours="Mon-Fri 08:00-18:00",
                run_as="nobody",
                password_expires=90 * 86400,
            ),
            Group(name="files", service="sftp", root="/srv/%u", hours="Mon-Sun", auth="publickey"),
        )
    options = ["--group", "staff", "--group", "files", "--auth", "password", "--password-stdin"]
    assert user("add", "alice", *options, typed="x\n").exit_code == 0
    done = user("show", "alice", "--json")
    found = {row["setting"]: (row["value"], row["from"]) for row in json.loads(done.stdout)}
    assert found == {
        "auth": ("password", "user"),
        "service": ("sftp", "group files"),
        "home": (None, "default"),
        "run_as": ("nobody", "group staff"),
        "root": ("/srv/alice", "group files"),
        "read_only": (False, "default"),
        "uploads": ("direct", "default"),
        "partial_uploads": ("keep", "default"),
        "unsafe_root": (False, "default"),
        "folders": (None, "default"),
        "rights": (None, "default"),
        "file_key": (None, "default"),
        "expires": (None, "default"),
        "sources": (None, "default"),
        "hours": ("Mon-Fri 08:00-18:00", "group staff"),
        "max_sessions": (None, "default"),
        "second_factor": ("none", "default"),
        "enrol_within": (None, "default"),
        "password_length": (None, "default"),
        "password_history": (None, "default"),
        "password_expires": ("90d", "group staff"),
        "record": ("output", "default"),
        "certificate_valid": (None, "default"),
        "certificate_principals": (None, "default"),
        "certificate_options": (None, "default"),
        "quota_bytes": (None, "default"),
        "quota_files": (None, "default"),
        "transfer_up": (None, "default"),
        "transfer_down": (None, "default"),
        "transfer_period": ("month", "default"),
        "rate_up": (None, "default"),
        "rate_down": (None, "default"),
        "role": ("none", "default"),
    }
    (alice,) = listed(user)
    assert (alice["groups"], alice["root"]) == (["staff", "files"], "/srv/alice")
    assert user("set", "alice", "--inherit", "auth", "--group", "files").exit_code == 0
    (alice,) = listed(user)
    assert (alice["groups"], alice["auth"], alice["hours"]) == (["files"], "publickey", "Mon-Sun")
    # Without a group the user would have no directory.
    done = user("set", "alice", "--no-groups", "--service", "sftp")
    assert (done.exit_code, "has no directory" in done.output) == (1, True)
    assert user("set", "alice", "--no-groups").exit_code == 0
    assert listed(user)[0]["service"] == "all"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--group", "none"], "there is no group 'none'"),
        (["--group", "g", "--no-groups"], "exclude each other"),
        (["--inherit", "name"], "'name' is none of auth, service"),
        (["--expires", "soon"], "'soon' is no time"),
        (["--expires", "2030-02-30"], "is no time"),
        (["--hours", "Mon 8-18"], "is not a time of the week"),
        (["--file-key", "/missing"], "can't read the key /missing"),
        (["--folder", "/in"], "names no directory: write POINT=DIR"),
        (["--folder", "/in=/srv/%x"], "--folder: "),
        (["--folder", "/in=nothing://x"], "fsspec can't use nothing://x"),
        (["--folder", "/in=/srv/in"], "give --root or --service sftp"),
        (["--rights", "/in:lst"], "'lst' in the rule of /in is none of list"),
        (["--rights", "/:*"], "alice has rights for directories, which do not hold in a shell"),
        (["--rights", "/:*"], "give --service sftp"),
        (["--allow-from", "10.0.0.0/99"], "10.0.0.0/99"),
    ],
)
def test_settings_that_can_not_be(user: Nacre, add: Nacre, words: list[str], said: str) -> None:
    assert add("alice", "--password-stdin").exit_code == 0
    done = user("set", "alice", *words)
    assert done.exit_code != 0
    assert said in done.output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2030-12-31", "2030-12-31T23:00:00Z"),
        ("2030-12-31T18:00", "2030-12-31T17:00:00Z"),
        ("never", "never"),
    ],
)
def test_times_of_expiry_are_those_of_the_servers_time_zone(
    user: Nacre, add: Nacre, text: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert add("alice", "--password-stdin", "--expires", text).exit_code == 0
    finally:
        monkeypatch.undo()
        time.tzset()
    assert listed(user)[0]["expires"] == shown


def test_a_span_of_expiry_begins_now(user: Nacre, add: Nacre, tmp_path: Path) -> None:
    before = time.time()
    assert add("alice", "--password-stdin", "--expires", "+2d").exit_code == 0
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        expires = store.user("alice").expires
    assert expires is not None
    assert int(before) <= expires - 2 * 86400 <= time.time()


def test_rights_of_directories_add_up(user: Nacre, add: Nacre, tmp_path: Path) -> None:
    files = ["--service", "sftp", "--root", tmp_path / "files", "--auth", "publickey"]
    rules = ["/:list,download", "/in:list,upload", "/in:deny=*.exe"]
    given = [word for rule in rules for word in ("--rights", rule)]
    assert add("alice", *files, *given).exit_code == 0
    (alice,) = listed(user)
    assert alice["rights"] == "/:list,download; /in:list,upload,deny=*.exe"
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        assert store.user("alice").rights == "/:list,download\n/in:list,upload,deny=*.exe"
    # They do not hold in a shell, so the user gets none as long as there are some.
    done = user("set", "alice", "--service", "all")
    assert (done.exit_code, "--inherit rights" in done.output) == (1, True)
    assert user("set", "alice", "--service", "all", "--inherit", "rights").exit_code == 0
    assert listed(user)[0]["rights"] is None


def test_folders(user: Nacre, add: Nacre, tmp_path: Path) -> None:
    for name in ("shared", "alice"):
        (tmp_path / name).mkdir()
    files = ["--service", "sftp", "--root", tmp_path / "files", "--auth", "publickey"]
    given = ["--folder", f"/own={tmp_path}/%u", "--folder", f"/all={tmp_path}/shared:ro"]
    done = add("alice", *files, *given)
    assert done.exit_code == 0, done.output
    assert "shared does not exist" not in done.output
    (alice,) = listed(user)
    assert alice["folders"] == f"/all={tmp_path}/shared:ro; /own={tmp_path}/alice"
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        store.groups.add(Group(name="g", folders="/group=/srv/%u/100%%"))
        store.change("alice", groups=["g"])
    assert user("set", "alice", "--inherit", "folder").exit_code == 0
    assert listed(user)[0]["folders"] == "/group=/srv/alice/100%"
    # It would give the store away.
    done = user("set", "alice", "--folder", f"/state={tmp_path}/state")
    assert (done.exit_code, "the folder /state" in done.output) == (1, True)


def test_encrypted_roots_keep_their_prefix(user: Nacre, add: Nacre, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 32 + "\n")
    files = ["--service", "sftp", "--auth", "publickey", "--root", f"encrypted+{tmp_path}/files"]
    done = add("alice", *files)
    assert (done.exit_code, "no key for them" in done.output) == (1, True)
    key.chmod(0o644)
    done = add("alice", *files, "--file-key", key)
    assert (done.exit_code, f"chmod 600 {key}" in done.output) == (2, True)
    key.chmod(0o600)
    done = add("alice", *files, "--file-key", key)
    assert done.exit_code == 0, done.output
    (alice,) = listed(user)
    assert (alice["root"], alice["file_key"]) == (f"encrypted+{tmp_path}/files", str(key))
    done = user("set", "alice", "--root", "encrypted+memory://x")
    assert done.exit_code == 0, done.output
    assert listed(user)[0]["root"] == "encrypted+memory://x"
    done = user("set", "alice", "--inherit", "file-key")
    assert (done.exit_code, "no key for them" in done.output) == (1, True)
