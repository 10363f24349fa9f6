"""Second factors, expired passwords and expired keys of the store: real clients log in."""

from __future__ import annotations

import time
from base64 import b32decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import update

from interop.clients import PASSWORD, Login, askpass
from interop.daemons import Daemon, State, start_nacre
from interop.programs import NACRE, check, manage, require, run
from interop.terminal import Terminal
from nacre.daemon.store.second_factor.totp import INTERVAL, code_at, new_secret, recovery_codes
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.tables import FACTORS

pytestmark = pytest.mark.interop

LAYOUTS = {"gates": [], "one process": ["--gates", "0"], "workers": ["--workers", "2"]}
INTERACTIVE = "PreferredAuthentications=keyboard-interactive"
BY_PASSWORD = "PreferredAuthentications=password,keyboard-interactive"
CODE_ASKED = "(alice@127.0.0.1) Verification code: "
PASSWORD_ASKED = "(alice@127.0.0.1) Password: "


@dataclass
class Place:
    """A server, and the user alice with a second factor."""

    server: Daemon
    state: State
    directory: Path
    secret: bytes

    def store(self) -> UserStore:
        return UserStore(self.state.path / FILE, create=False)

    def code(self) -> str:
        """Return the code of now, as if none had been used before."""
        with closing(self.store()) as store, store._database.transaction() as connection:
            connection.execute(update(FACTORS).values(counter=0, failures=0, until=0))
        return code_at(self.secret, int(time.time()) // INTERVAL)

    def recovery(self) -> tuple[str, ...]:
        codes = recovery_codes()
        with closing(self.store()) as store:
            store.factors.set_recovery("alice", codes)
        return codes

    def nacre(self, *words: str | Path) -> str:
        return manage(*words, "--state", self.state.path).decode()

    def login(self, key: Path | None = None, user: str = "alice") -> Login:
        return Login(self.server, user, self.directory, key)

    def ssh(self, login: Login, *options: str, answers: tuple[str, ...]) -> bool:
        """Log in; ``asked`` has what was asked. Return whether the command was run."""
        asking = askpass(self.directory, *answers)
        done = run([*login.ssh("NumberOfPasswordPrompts=1", *options), "echo in"], **asking)
        assert (done.returncode, done.stdout) in ((0, b"in\n"), (255, b"")), done.stderr
        return done.returncode == 0

    @property
    def asked(self) -> list[str]:
        return (self.directory / "asked").read_text().splitlines()


@pytest.fixture
def start(keys: dict[str, Path], tmp_path: Path) -> Iterator[Callable[..., Place]]:
    started: list[Daemon] = []

    def start(*arguments: str) -> Place:
        state = State(tmp_path / "state")
        state.add_user("alice", password=PASSWORD, keys=[keys["ed25519"].with_suffix(".pub")])
        secret = new_secret()
        with closing(UserStore(state.path / FILE)) as store:
            store.factors.enrol("alice", secret)
            store.change("alice", second_factor="required")
        server = start_nacre(state, "-o", "PerSourcePenalties=no", *arguments)
        started.append(server)
        return Place(server, state, tmp_path, secret)

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def place(start: Callable[..., Place]) -> Place:
    return start()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_key_and_a_code(start: Callable[..., Place], keys: dict[str, Path], layout: str) -> None:
    place = start(*LAYOUTS[layout])
    login = place.login(keys["ed25519"])
    code = place.code()
    assert place.ssh(login, answers=(code,))
    assert place.asked == [CODE_ASKED]
    assert not place.ssh(login, answers=(code,))
    place.server.wait_for("refused .*verification code was used already")
    wrong = "000000" if place.code() != "000000" else "000001"
    assert not place.ssh(login, answers=(wrong,))
    place.server.wait_for("refused .*wrong verification code")
    assert not place.ssh(login, "PreferredAuthentications=publickey", answers=(code,))
    assert place.ssh(login, answers=(place.code(),))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_password_and_a_code(start: Callable[..., Place], layout: str) -> None:
    place = start(*LAYOUTS[layout])
    login = place.login()
    assert place.ssh(login, INTERACTIVE, answers=(PASSWORD, place.code()))
    assert place.asked == [PASSWORD_ASKED, CODE_ASKED]
    assert place.ssh(login, BY_PASSWORD, answers=(PASSWORD, place.code()))
    assert place.asked == ["alice@127.0.0.1's password: ", CODE_ASKED]
    # A wrong password looks like an unknown user: nobody is asked for a code.
    assert not place.ssh(login, INTERACTIVE, answers=("wrong", place.code()))
    assert place.asked == [PASSWORD_ASKED]
    assert not place.ssh(login, "PreferredAuthentications=password", answers=(PASSWORD,))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_concurrent_logins_one_has_a_recovery_code(
    start: Callable[..., Place], keys: dict[str, Path], layout: str
) -> None:
    place = start(*LAYOUTS[layout])
    codes = place.recovery()
    login = place.login(keys["ed25519"])
    asking = askpass(place.directory, codes[0].lower())

    def attempt(_: int) -> int:
        command = [*login.ssh("NumberOfPasswordPrompts=1"), "true"]
        return run(command, timeout=120, **asking).returncode

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(attempt, range(6))) == [0, 255, 255, 255, 255, 255]
    assert place.nacre("user", "totp", "show-recovery", "alice") == "9\n"


@pytest.mark.parametrize("auth", ["any", "password", "publickey", "password-publickey"])
def test_what_auth_asks_is_asked_with_the_code(
    place: Place, keys: dict[str, Path], auth: str
) -> None:
    place.nacre("user", "set", "alice", "--auth", auth)
    with_key, without = place.login(keys["ed25519"]), place.login()
    assert place.ssh(without, INTERACTIVE, answers=(PASSWORD, place.code())) is (
        auth in ("any", "password")
    )
    if auth == "password":
        assert not place.ssh(with_key, answers=(place.code(),))
        return
    by_key = (place.code(),) if auth != "password-publickey" else (PASSWORD, place.code())
    assert place.ssh(with_key, answers=by_key)
    if auth == "password-publickey":
        assert place.asked == [PASSWORD_ASKED, CODE_ASKED]
        assert not place.ssh(with_key, answers=(place.code(),))
        methods = "PreferredAuthentications=publickey,password,keyboard-interactive"
        assert place.ssh(with_key, methods, answers=(PASSWORD, place.code()))
        assert place.asked == ["alice@127.0.0.1's password: ", CODE_ASKED]


def test_sftp_asks_for_the_code(place: Place, keys: dict[str, Path]) -> None:
    login = place.login(keys["ed25519"])
    where = ["-P" if word == "-p" else word for word in login.options()]
    asking = askpass(place.directory, place.code())
    done = run([require("sftp"), *where, "alice@127.0.0.1"], input=b"pwd\n", **asking)
    assert b"Remote working directory: " in done.stdout, done.stderr
    assert place.asked == [CODE_ASKED]


def test_the_clients_of_nacre(place: Place, keys: dict[str, Path]) -> None:
    login = place.login(keys["ed25519"])
    with Terminal([*login.nacre_ssh(), "echo in"]) as terminal:
        terminal.expect("Verification code: ")
        terminal.type(place.code() + "\n")
        terminal.expect("in\r\n")
        assert terminal.wait() == 0
    with Terminal([*place.login().nacre_ssh(INTERACTIVE), "echo in"]) as terminal:
        terminal.expect("Password: ")
        terminal.type(PASSWORD + "\n")
        terminal.expect("Verification code: ")
        terminal.type(place.code() + "\n")
        terminal.expect("in\r\n")
        assert terminal.wait() == 0


def test_plink(place: Place) -> None:
    port = str(place.server.port)
    command = [require("plink"), "-ssh", "-noagent", "-P", port, "-l", "alice"]
    shown = run([*NACRE, "keygen", "-l", "-f", place.state.path / "ssh_host_ed25519_key"]).stdout
    key = shown.decode().split()[1]
    words = [*command, "-hostkey", key, "127.0.0.1", "echo in"]
    with Terminal(words, HOME=str(place.directory)) as terminal:
        terminal.expect("Password: ")
        terminal.type(PASSWORD + "\n")
        terminal.expect("Verification code: ")
        terminal.type(place.code() + "\n")
        terminal.expect("Access granted")
        terminal.type("\n")
        terminal.expect("in\r?\n")
        assert terminal.wait() == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_login_enrols(start: Callable[..., Place], layout: str) -> None:
    place = start(*LAYOUTS[layout])
    place.nacre("user", "totp", "remove", "alice")
    login = place.login()
    # Without leave to enrol at a login there is none.
    assert not place.ssh(login, INTERACTIVE, answers=(PASSWORD, "123456"))
    assert place.asked == [PASSWORD_ASKED]
    place.server.wait_for("refused .*may not enrol one now")
    place.nacre("user", "set", "alice", "--enrol-within", "14d")
    with Terminal([*login.ssh(INTERACTIVE), "echo in"], LC_ALL="C.UTF-8") as terminal:
        terminal.expect("Password: ")
        terminal.type(PASSWORD + "\n")
        # The picture is whole.
        terminal.expect(r"(█[█▀▄ ]+█\r?\n){18,}")
        place.secret = b32decode(terminal.expect(r"into it: ([A-Z2-7]{32})")[1])
        terminal.expect("Verification code: ")
        terminal.type(place.code() + "\n")
        codes = [terminal.expect(r"([A-Z2-7]{4}-){3}[A-Z2-7]{4}")[0] for _ in range(10)]
        terminal.expect("Press Enter")
        terminal.type("\n")
        terminal.expect("in\r\n")
        assert terminal.wait() == 0
    place.server.wait_for("changed .*second factor enrolled")
    assert place.ssh(login, INTERACTIVE, answers=(PASSWORD, codes[9]))
    assert place.asked == [PASSWORD_ASKED, CODE_ASKED]
    assert place.ssh(login, INTERACTIVE, answers=(PASSWORD, place.code()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_expired_password_is_changed(start: Callable[..., Place], layout: str) -> None:
    place = start(*LAYOUTS[layout])
    options = ["--second-factor", "none", "--password-history", "3", "--password-length", "8"]
    place.nacre("user", "set", "alice", *options)
    login = place.login()

    def renew(password: str) -> None:
        words = [*NACRE, "user", "passwd", "alice", "--password-stdin", "--must-change"]
        check([*words, "--state", place.state.path], input=password.encode() + b"\n")

    renew("the first one")
    password = "PreferredAuthentications=password"
    assert not place.ssh(login, password, answers=("wrong",))
    assert place.asked == ["alice@127.0.0.1's password: "]
    old, new = "the first one", "the second one"
    assert place.ssh(login, password, answers=(old, old, new, new))
    assert place.asked[1:] == [
        "Enter alice@127.0.0.1's old password: ",
        "Enter alice@127.0.0.1's new password: ",
        "Retype alice@127.0.0.1's new password: ",
    ]
    assert place.ssh(login, password, answers=(new,))
    assert not place.ssh(login, password, answers=(old,))

    renew("the third one")
    tries = ("short", "short", new, new, "the fourth one", "the fourth one")
    assert place.ssh(login, INTERACTIVE, answers=("the third one", *tries))
    assert place.asked[1:3] == [
        "(alice@127.0.0.1) New password: ",
        "(alice@127.0.0.1) Repeat the new password: ",
    ]
    assert len(place.asked) == 7
    assert place.ssh(login, INTERACTIVE, answers=("the fourth one",))
    place.nacre("user", "set", "alice", "--password-expires", "1h")
    assert place.ssh(login, INTERACTIVE, answers=("the fourth one",))
    with closing(place.store()) as store:
        store.change("alice", password_changed=int(time.time()) - 3601)
    assert place.ssh(login, INTERACTIVE, answers=("the fourth one", *("the fifth one",) * 2))
    assert place.ssh(login, password, answers=("the fifth one",))


def test_an_expired_password_is_changed_after_the_code_alone(place: Place) -> None:
    with closing(place.store()) as store:
        store.change("alice", must_change=True)
    login, new = place.login(), "the next one"
    assert not place.ssh(login, "PreferredAuthentications=password", answers=(PASSWORD, new))
    assert place.asked == ["alice@127.0.0.1's password: "]
    assert not place.ssh(login, BY_PASSWORD, answers=(PASSWORD, "000000", new))
    assert place.ssh(login, BY_PASSWORD, answers=(PASSWORD, place.code(), new, new))
    assert place.asked[1:3] == [CODE_ASKED, "(alice@127.0.0.1) New password: "]
    assert place.ssh(login, INTERACTIVE, answers=(new, place.code()))


def test_the_client_of_nacre_changes_a_password(place: Place) -> None:
    with closing(place.store()) as store:
        store.change("alice", must_change=True, second_factor="none")
    new = "the next one"
    words = place.login().nacre_ssh("PreferredAuthentications=password")
    with Terminal([*words, "echo in"]) as terminal:
        for asked, typed in (
            ("alice@127.0.0.1's password: ", PASSWORD),
            ("new password: ", new),
            ("new password.*: ", new),
        ):
            terminal.expect(asked)
            terminal.type(f"{typed}\n")
        terminal.expect("in\r\n")
        assert terminal.wait() == 0
    assert place.ssh(place.login(), INTERACTIVE, answers=(new,))


def test_a_key_expires(place: Place, keys: dict[str, Path]) -> None:
    place.nacre("user", "set", "alice", "--second-factor", "none")
    key = keys["ed25519"].with_suffix(".pub")
    login = place.login(keys["ed25519"])
    for end, gets_in in (("+1d", True), ("2001-01-01", False), ("never", True)):
        place.nacre("user", "key", "add", "alice", key, "--expires", end)
        assert place.ssh(login, "BatchMode=yes", answers=("",)) is gets_in, end
    place.server.wait_for("refused .*the key has expired")


def test_ssh1_has_no_second_factor(start: Callable[..., Place]) -> None:
    place = start("--protocol", "1,2", "--gates", "0")
    words = place.login().nacre_ssh("Protocol=1", "NumberOfPasswordPrompts=1", flags=["-n"])
    asking = askpass(place.directory, PASSWORD)
    assert run([*words, "echo in"], **asking).stdout == b""
    place.server.wait_for("refused .*the user's second factor needs SSH-2")
    place.nacre("user", "set", "alice", "--second-factor", "none")
    assert run([*words, "echo in"], **asking).stdout == b"in\n"
