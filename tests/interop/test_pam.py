"""Logins of OpenSSH's client through PAM: dialogues, sessions, records; some beside sshd."""

from __future__ import annotations

import base64
import hmac
import os
import re
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from interop.clients import Account, Login, askpass
from interop.daemons import Daemon
from interop.nacre_sshd import Configure, serving
from interop.programs import check, missing, require, run
from interop.side_by_side import SERVERS, start
from interop.terminal import Terminal
from nacre.daemon.processes import wtmpdb
from nacre.daemon.processes.login_records import UTMP, WTMP
from pam_services import all_of, pam_service
from procfs import children, name_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root serves other accounts"),
]

UNIX = [
    "auth required pam_unix.so nodelay",
    "account required pam_unix.so",
    "password required pam_unix.so minlen=4",
    "session required pam_permit.so",
]
DIALOGUE, PASSWORD, KEY = (
    f"PreferredAuthentications={name}" for name in ("keyboard-interactive", "password", "publickey")
)

Serve = Callable[..., Login]


@pytest.fixture
def serve(
    configure_sshd: Configure, own_account: Account, keys: dict[str, Path], tmp_path: Path
) -> Iterator[Serve]:
    """Return what starts nacre-sshd with a service of PAM that has these lines."""
    with ExitStack() as stack:

        def serve(*lines: str, config: tuple[str, ...] = ()) -> Login:
            name = stack.enter_context(pam_service(*lines))
            words = (*config, "UsePAM yes", f"PAMServiceName {name}", "PerSourcePenalties no")
            daemon = stack.enter_context(serving(configure_sshd(*words)))
            return Login(daemon, own_account.name, tmp_path, keys["ed25519"])

        yield serve


@pytest.fixture
def both(host_keys: dict[str, Path], own_account: Account, tmp_path: Path) -> Iterator[list[Login]]:
    """Sshd and nacre-sshd with the service of the system's sshd."""
    with ExitStack() as stack:
        made = []
        for server in SERVERS:
            daemon = start(server, tmp_path, host_keys["ed25519"], [])
            stack.callback(daemon.stop)
            directory = tmp_path / server
            directory.mkdir()
            made.append(Login(daemon, own_account.name, directory))
        yield made


def answering(
    login: Login, method: str, *answers: str, command: str = "echo in"
) -> tuple[CompletedProcess[bytes], list[str]]:
    """Log in with these answers in turn; return how that went, and what was asked."""
    done = run(
        [*login.using(None).ssh(method, "NumberOfPasswordPrompts=1"), command],
        **askpass(login.directory, *answers),
    )
    asked = (login.directory / "asked").read_text().splitlines()
    # OpenSSH's client puts the server's name in front, or in front of texts that come before.
    return done, [prompt.rpartition(") ")[2] for prompt in asked]


def expire(account: Account) -> None:
    check([require("chage"), "-d", "0", account.name])


def process_of_pam(daemon: Daemon) -> int:
    """Wait for a child of the server that has PAM in use, and return its number."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for number in children(daemon.pid):
            if name_of(number) == "nacre-pam":
                return number
        time.sleep(0.01)
    raise AssertionError(daemon.tail())


# --- dialogues ---


@pytest.mark.parametrize("user", ["the account", "no-such-account"])
def test_the_prompts_are_those_of_sshd(both: list[Login], own_account: Account, user: str) -> None:
    asked = []
    for login in both:
        known = user == "the account"
        one = login if known else Login(login.server, user, login.directory)
        done, prompts = answering(one, DIALOGUE, own_account.password)
        assert (done.stdout == b"in\n") is known
        asked.append(prompts)
    assert asked[0] == asked[1]


def test_an_expired_password_is_changed_as_with_sshd(
    both: list[Login], own_account: Account
) -> None:
    old, asked = own_account.password, []
    for login, new in zip(both, ("Correct-horse-7", "Battery-staple-8"), strict=True):
        expire(own_account)
        done, prompts = answering(login, DIALOGUE, old, old, new, new)
        assert done.stdout == b"in\n", login.server.tail()
        asked.append(prompts)
        old = new
    assert len(asked[1]) == 4
    assert asked[0] == asked[1]
    done, prompts = answering(both[1], PASSWORD, old)
    assert (done.stdout, len(prompts)) == (b"in\n", 1)


def test_an_expired_password_is_changed_by_the_method_password(
    serve: Serve, own_account: Account
) -> None:
    """As RFC 4252 section 8 has it; sshd lets such a user in, and asks at the terminal."""
    login, old, new = serve(*UNIX), own_account.password, "Correct-horse-7"
    expire(own_account)
    done, prompts = answering(login, PASSWORD, old, old, new, new)
    assert done.stdout == b"in\n", login.server.tail()
    assert [re.sub(r".*'s ", "", prompt) for prompt in prompts] == [
        "password: ",
        "old password: ",
        "new password: ",
        "new password: ",
    ]
    assert answering(login, PASSWORD, new)[0].stdout == b"in\n"
    assert answering(login, PASSWORD, old)[0].returncode == 255


def test_a_weak_new_password_is_refused(serve: Serve, own_account: Account) -> None:
    login = serve(*UNIX)
    expire(own_account)
    old = own_account.password
    for method, answers in ((DIALOGUE, [old, old, "x", "x"]), (PASSWORD, [old, old, "x", "x"])):
        done, _ = answering(login, method, *answers)
        assert (done.returncode, done.stdout) == (255, b"")
    login.server.wait_for("reason=.*Authentication token manipulation error")
    assert answering(login, PASSWORD, "x")[0].returncode == 255


def test_an_expired_password_keeps_a_key_out(serve: Serve, own_account: Account) -> None:
    login = serve(*UNIX)
    assert run([*login.ssh(KEY), "echo in"]).stdout == b"in\n"
    expire(own_account)
    assert run([*login.ssh(KEY), "echo in"]).returncode == 255
    login.server.wait_for("reason=.*new one required")


def code_of(secret: bytes, step: int) -> str:
    """Return the one-time code of a time step (RFC 6238)."""
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    number = struct.unpack_from(">I", digest, digest[-1] & 15)[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def test_one_time_codes(serve: Serve, own_account: Account) -> None:
    if not any(Path("/usr/lib").glob("*/security/pam_google_authenticator.so")):
        missing("libpam-google-authenticator")
    secret = os.urandom(20)
    file = own_account.home / ".google_authenticator"
    text = base64.b32encode(secret).decode()
    file.write_text(f'{text}\n" TOTP_AUTH\n" WINDOW_SIZE 17\n12345678\n')
    file.chmod(0o400)
    check([require("chown"), own_account.name, file])
    login = serve(
        *all_of(auth="required pam_google_authenticator.so echo_verification_code"), *UNIX[:2]
    )
    now = int(time.time()) // 30
    done, prompts = answering(login, DIALOGUE, code_of(secret, now), own_account.password)
    assert done.stdout == b"in\n", login.server.tail()
    assert prompts == ["Verification code: ", "Password: "]
    for answers in (("000000", own_account.password), (code_of(secret, now + 1), "wrong")):
        assert answering(login, DIALOGUE, *answers)[0].returncode == 255
    # An emergency code is taken once.
    for status in (0, 255):
        done, _ = answering(login, DIALOGUE, "12345678", own_account.password)
        assert done.returncode == status
    # The method password answers one hidden prompt, and no question that is shown.
    assert answering(login, PASSWORD, own_account.password)[0].returncode == 255


def test_what_modules_say_before_a_prompt_and_after_a_failure(
    serve: Serve, own_account: Account, tmp_path: Path
) -> None:
    for name in ("before", "after"):
        (tmp_path / name).write_text(f"said {name}")
    login = serve(
        f"auth optional pam_echo.so file={tmp_path}/before",
        *UNIX,
        f"auth optional pam_echo.so file={tmp_path}/after",
    )
    shown = run(
        [*login.using(None).ssh(DIALOGUE, "LogLevel=INFO", "NumberOfPasswordPrompts=1"), "true"],
        **askpass(tmp_path, "wrong"),
    )
    said = [line for line in shown.stderr.decode().splitlines() if line.startswith("said")]
    assert said == ["said before", "said after"]
    assert shown.returncode == 255


@pytest.mark.parametrize(("word", "status"), [("DenyUsers {name}", 255), ("AllowUsers {name}", 0)])
def test_a_user_who_is_refused_is_asked_like_others(
    serve: Serve, own_account: Account, word: str, status: int
) -> None:
    login = serve(*UNIX, config=(word.format(name=own_account.name),))
    done, prompts = answering(login, DIALOGUE, own_account.password)
    assert (done.returncode, len(prompts)) == (status, 1)


def test_a_wrong_password_keeps_no_other_login_waiting(serve: Serve, own_account: Account) -> None:
    login = serve("auth optional pam_faildelay.so delay=20000000", *UNIX)
    with Terminal(login.using(None).ssh(PASSWORD)) as terminal:
        terminal.expect("password: ")
        terminal.type("wrong\n")
        process_of_pam(login.server)
        assert run([*login.ssh(KEY), "echo in"]).stdout == b"in\n"
        assert "event=refused" not in login.server.tail()


# --- sessions ---


def test_limits_and_variables_are_those_of_modules(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "limits").write_text("* hard nofile 88\n* soft nofile 77\n* - priority 5\n")
    (tmp_path / "env").write_text("FROM_PAM DEFAULT=yes\nLANG DEFAULT=C\n")
    login = serve(
        *UNIX[:2],
        "session required pam_loginuid.so",
        f"session required pam_limits.so conf={tmp_path}/limits",
        f"session required pam_env.so conffile={tmp_path}/env readenv=0",
        # Newer modules give the group what the user has, if both have one name.
        "session required pam_umask.so umask=0007",
        config=("SetEnv SET=by-sshd", "Subsystem sftp internal-sftp"),
    )
    show = 'ulimit -Sn; ulimit -Hn; nice; umask; echo "$FROM_PAM $SET"; cat /proc/self/loginuid'
    done = run([*login.ssh(KEY), show])
    uid = check(["id", "-u", login.user]).decode().strip()
    assert done.stdout.decode().splitlines() == ["77", "88", "5", "0007", "yes by-sshd", uid]
    with Terminal([*login.ssh(KEY, flags=["-tt"]), show.replace("nice", "id -u")]) as terminal:
        terminal.expect(f"77\r\n88\r\n{uid}\r\n0007\r\nyes by-sshd")
    options = ["-P" if word == "-p" else word for word in login.options(KEY)]
    put = f"put /etc/passwd {login.user}\n".encode()
    sftp = run([require("sftp"), "-b", "-", *options, f"{login.user}@127.0.0.1"], input=put)
    assert sftp.returncode == 0, sftp.stderr
    home = Path(f"~{login.user}").expanduser()
    assert (home / login.user).stat().st_mode & 0o777 == 0o640


def test_the_sessions_of_both_servers_are_alike(both: list[Login], own_account: Account) -> None:
    show = "ulimit -Sa; ulimit -Ha; umask; id -G; nice; cat /proc/self/loginuid"
    shown = [answering(login, PASSWORD, own_account.password, command=show)[0] for login in both]
    assert shown[0].stdout.decode() == shown[1].stdout.decode()


def test_one_session_for_all_channels_is_closed_with_the_connection(
    serve: Serve, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\necho "$PAM_TYPE $PAM_USER" >> {tmp_path}/noted\n')
    script.chmod(0o755)
    login = serve(*UNIX, f"session required pam_exec.so {script}")
    control = f"ControlPath={tmp_path}/control"
    with Terminal(login.ssh(KEY, control, "ControlMaster=yes", flags=["-tt"])) as terminal:
        terminal.type("echo re''ady\n")
        terminal.expect("ready")
        assert run([*login.ssh(control), "echo in"]).stdout == b"in\n"
        assert (tmp_path / "noted").read_text() == f"open_session {login.user}\n"
        terminal.type("exit\n")
        terminal.process.wait(20)
    login.server.wait_for("event=closed")
    login.server.stop()
    deadline = time.monotonic() + 20
    while "close_session" not in (tmp_path / "noted").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (tmp_path / "noted").read_text().count("\n") == 2


def test_a_session_that_is_refused_says_why(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "limits").write_text("* - maxlogins 0\n")
    login = serve(*UNIX[:2], f"session required pam_limits.so conf={tmp_path}/limits")
    done = run([*login.ssh(KEY, "LogLevel=INFO"), "echo in"])
    assert (done.returncode, done.stdout) == (255, b"")
    assert f"There were too many logins for '{login.user}'." in done.stderr.decode()
    login.server.wait_for("the session can't be opened.*Permission denied")


def test_an_account_that_modules_refuse(serve: Serve) -> None:
    login = serve(*UNIX[:1], "account required pam_deny.so")
    assert run([*login.ssh(KEY), "echo in"]).returncode == 255
    login.server.wait_for("event=refused .*method=account")


def test_a_process_that_is_killed_ends_its_login_alone(serve: Serve) -> None:
    login = serve(*UNIX)
    with Terminal(login.ssh(KEY, "LogLevel=INFO", flags=["-tt"])) as terminal:
        terminal.type("echo re''ady\n")
        terminal.expect("ready")
        os.kill(process_of_pam(login.server), signal.SIGKILL)
        terminal.expect("the server can't serve this user now")
        assert terminal.process.wait(20) == 255
    login.server.wait_for('level=error .*the process of PAM has ended" error="signal 9"')
    assert run([*login.ssh(KEY), "echo in"]).stdout == b"in\n"


# --- terminals ---


def test_the_message_of_the_day_is_shown_once(serve: Serve, own_account: Account) -> None:
    file = own_account.home / "motd"  # where the account may read it
    file.write_text("from a module\n" + Path("/etc/motd").read_text())
    login = serve(*UNIX, f"session optional pam_motd.so motd={file}")
    with Terminal(login.ssh(KEY, flags=["-tt"])) as terminal:
        terminal.type("echo o''ver; exit\n")
        terminal.expect("over")
        assert terminal.shown.count("from a module") == 1
        first = next(filter(None, Path("/etc/motd").read_text().splitlines()), None)
        assert first is None or terminal.shown.count(first) == 1
    done = run([*login.ssh(KEY, flags=["-tt"]), "echo in"])
    assert b"from a module" not in done.stdout


@pytest.fixture
def utmp() -> Iterator[Path]:
    """The file of who is logged in: containers lack it."""
    if UTMP.exists():
        yield UTMP
        return
    UTMP.touch(mode=0o664)
    try:
        yield UTMP
    finally:
        with suppress(FileNotFoundError):
            UTMP.unlink()


@pytest.mark.usefixtures("utmp")
def test_who_and_last_show_a_session_at_a_terminal(serve: Serve) -> None:
    who = require("who")
    login = serve(*UNIX)
    # Without the name of the file, newer ones ask systemd.
    shows = f"{who} {UTMP}"
    with Terminal(login.ssh(KEY, flags=["-tt"])) as terminal:
        terminal.type(f"tty; {shows}; echo o''ver\n")
        line = terminal.expect(r"/dev/(pts/\d+)\r")[1]
        terminal.expect(rf"{login.user} +{line} .*\(127\.0\.0\.1\)(?s:.*)over")
        terminal.type("exit\n")
        terminal.process.wait(20)
    login.server.stop()
    assert login.user not in check(shows.split()).decode()
    if WTMP.exists() or wtmpdb.available():
        shown = check([require("last"), login.user]).decode()
        assert re.search(
            rf"^{login.user[:8]}.* {line} +127\.0\.0\.1 .*(\(00:0\d\)|still)", shown, re.M
        )


@pytest.mark.usefixtures("utmp")
def test_a_command_without_a_terminal_is_not_recorded(serve: Serve) -> None:
    login = serve(*UNIX)
    assert login.user not in run([*login.ssh(KEY), f"who {UTMP}"]).stdout.decode()
