"""What happens before a session's program: a root directory, rights, files of the home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.conftest import SystemAccount
from daemon.processes.test_child import exited, over
from nacre.daemon.accounts.accounts import find_account
from nacre.daemon.processes.child import Child, Exit, Program
from nacre.daemon.processes.kinds import launcher
from nacre.daemon.processes.kinds.launcher import Steps, X11Steps
from nacre.daemon.processes.start import start

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts")


def sh(command: str, home: Path, steps: Steps, **environment: str) -> Program:
    return Program(
        path="/bin/sh",
        arguments=["other name", "-c", command],
        environment={"PATH": os.environ["PATH"], "SHELL": "/bin/sh", **environment},
        directory=str(home),
        steps=replace(steps, home=str(home)),
    )


async def result(program: Program) -> tuple[Exit, bytes]:
    """Return how a program ends, and what it prints on both outputs."""
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    child = Child(program, start(program, null, writing, writing, terminal=False))
    os.close(writing)
    os.close(null)
    how = await exited(child)
    with open(reading, "rb") as file:
        printed = file.read()
    await over(child)
    return how, printed


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".ssh").mkdir()
    return tmp_path


async def test_the_program_gets_its_arguments_variables_and_directory(home: Path) -> None:
    command = 'printf "%s|" "$0" "$PWD" "$TEXT"; env | grep -c NACRE; exit 3'
    run = sh(command, home, Steps(user_rc=True), TEXT="ä\n\udcff")
    how, printed = await result(run)
    assert how == Exit(3)
    assert printed == b"other name|" + os.fsencode(home) + "|ä\n".encode() + b"\xff|0\n"


@pytest.mark.parametrize(
    ("patterns", "taken"),
    [(("*",), "A=1 B=2"), (("A*",), "A=1 B="), (("*", "!A"), "A= B=2"), (("C",), "A= B=")],
)
async def test_variables_of_the_home(home: Path, patterns: tuple[str, ...], taken: str) -> None:
    text = "# comment\n  A=1\nB=2\nnonsense\nFIXED=no\nSSH_CLIENT=no\n#C=3\n"
    (home / ".ssh" / "environment").write_text(text)
    steps = Steps(variables=patterns, fixed=("FIXED",))
    command = 'echo "A=$A B=$B"; echo "$FIXED $SSH_CLIENT"'
    _, printed = await result(sh(command, home, steps, FIXED="yes", SSH_CLIENT="peer"))
    assert printed.decode() == f"{taken}\nyes peer\n"


async def test_rc_runs_before_the_program_without_its_input(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".ssh" / "rc").write_text('read line; echo "rc:$line in $PWD, $X"; exit 1\n')
    how, printed = await result(sh("echo done", home, Steps(user_rc=True, system_rc=True), X="x"))
    assert how == Exit(0)
    assert printed.decode() == f"rc: in {home}, x\ndone\n"
    _, printed = await result(sh("echo done", home, Steps()))
    assert printed == b"done\n"


X11 = X11Steps(xauth="/bin/cat", name="unix:10.0", protocol="MIT", cookie="00ff")


async def test_xauth_gets_the_cookie_of_a_display_unless_the_users_script_does(home: Path) -> None:
    xauth = home / "xauth"
    xauth.write_text('#!/bin/sh\necho "$@ $HOME"; exec cat\n')
    xauth.chmod(0o755)
    run = sh("echo done", home, Steps(user_rc=True, x11=replace(X11, xauth=str(xauth))), HOME="/h")
    told = "-q - /h\nremove unix:10.0\nadd unix:10.0 MIT 00ff\n"
    assert (await result(run))[1].decode() == f"{told}done\n"
    (home / ".ssh" / "rc").write_text('while read line; do echo "rc:$line"; done\n')
    assert (await result(run))[1] == b"rc:MIT 00ff\ndone\n"
    missing = sh("echo done", home, Steps(x11=replace(X11, xauth="/no/such")))
    assert (await result(missing))[1] == b"done\n"
    assert Steps(x11=X11).needed()


async def test_files_count_only_where_the_program_starts_in_the_home(home: Path) -> None:
    (home / ".ssh" / "rc").write_text("echo rc\n")
    (home / ".ssh" / "environment").write_text("X=1\n")
    run = sh('echo "-$X-"', home, Steps(user_rc=True, variables=("*",)))
    assert (await result(run))[1] == b"rc\n-1-\n"
    assert run.steps is not None
    elsewhere = replace(run, steps=replace(run.steps, home="/no/such"))
    assert (await result(elsewhere))[1] == b"--\n"
    assert (await result(replace(run, directory="/no/such")))[1] == b"--\n"


def test_the_file_of_the_system_is_for_users_without_one_of_their_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(launcher, "_run", lambda command, *_: ran.append(command))
    system = home / "sshrc"
    monkeypatch.setattr(launcher, "_SYSTEM_RC", str(system))
    monkeypatch.chdir(home)
    launcher._run_rc({}, None, user=True, system=True)
    system.touch()
    launcher._run_rc({}, None, user=True, system=True)
    (home / ".ssh" / "rc").touch()
    launcher._run_rc({"SHELL": "/bin/bash"}, None, user=True, system=True)
    launcher._run_rc({}, None, user=False, system=True)
    assert ran == [
        ["/bin/sh", str(system)],
        ["/bin/bash", "-c", "/bin/sh .ssh/rc"],
        ["/bin/sh", str(system)],
    ]


def test_most_programs_need_none_of_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "_SYSTEM_RC", str(home / "sshrc"))
    steps = Steps(home=str(home), variables=("*",), user_rc=True, system_rc=True)
    assert not steps.needed()
    assert replace(steps, root="/").needed()
    for name in (".ssh/rc", ".ssh/environment", "sshrc"):
        (home / name).touch()
        assert steps.needed()
        assert not Steps(home=str(home)).needed()
        (home / name).unlink()


async def test_a_program_that_is_missing_is_named(home: Path) -> None:
    run = replace(sh("", home, Steps(system_rc=True)), path="/no/such/shell")
    assert await result(run) == (Exit(1), b"/no/such/shell: No such file or directory\n")


@as_root
@pytest.mark.slow
async def test_rights_are_given_up_before_anything_of_the_user_is_read(
    system_account: SystemAccount,
) -> None:
    account = find_account(system_account.name)
    ssh = system_account.home / ".ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    rc = ssh / "rc"
    rc.write_text("id -u; umask; cat /etc/shadow\n")
    (ssh / "environment").symlink_to("/etc/shadow")
    for path in (ssh, rc):
        shutil.chown(path, account.name)
    steps = Steps(user_rc=True, variables=("*",))
    command = "id -u; id -g; id -G"
    try:
        run = replace(sh(command, system_account.home, steps), credentials=account.credentials)
        _, printed = await result(run)
    finally:
        rc.unlink()
        (ssh / "environment").unlink()
    lines = printed.decode().splitlines()
    assert lines[:2] == [str(account.uid), "0022"]
    assert "Permission denied" in lines[2]
    assert lines[3:5] == [str(account.uid), str(account.gid)]
    assert set(lines[5].split()) == {str(number) for number in account.groups}


@as_root
async def test_variables_do_not_reach_the_process_that_has_the_rights(
    home: Path, tmp_path: Path
) -> None:
    """Python and the dynamic linker would obey them as root."""
    library = tmp_path / "missing.so"
    run = sh("echo done", home, Steps(system_rc=True), LD_PRELOAD=str(library), PYTHONVERBOSE="1")
    account = find_account("nobody")
    _, printed = await result(replace(run, credentials=account.credentials, directory="/"))
    # The linker of the shell names the library once, and the one of this process does not.
    assert printed.count(b"missing.so") == 1
    assert b"import" not in printed


@as_root
async def test_a_root_directory_has_the_program_and_the_home(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "home" / "alice" / ".ssh").mkdir(parents=True)
    shutil.copy("/bin/sh", root / "bin" / "sh")
    found = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True)
    for library in re.findall(r"/\S+", found.stdout):
        copy = root / library.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
    (root / "home" / "alice" / ".ssh" / "environment").write_text("X=inside\n")
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(0o755)
    account = find_account("nobody")
    steps = Steps(root=str(root), variables=("X",))
    run = sh('echo "$PWD $X"; cd /; echo *', Path("/home/alice"), steps)
    how, printed = await result(replace(run, credentials=account.credentials))
    assert how == Exit(0)
    first, second = printed.decode().splitlines()
    assert first == "/home/alice inside"
    assert set(second.split()) == {path.name for path in root.iterdir()}
    # A home that is missing there is no error, as in sshd.
    _, printed = await result(replace(run, directory="/no/such"))
    assert printed.startswith(b"/ ")
