"""A login in a process of its own, with real modules of PAM: only root can have services."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.conftest import SystemAccount
from daemon.processes.pam.conftest import MakeService, login
from nacre.daemon.processes.child import ProcessCredentials, Program
from nacre.daemon.processes.pam import login as module
from nacre.daemon.processes.pam.login import PAMLogin, spawn
from nacre.daemon.processes.pam.messages import Judged, Prompts
from nacre.daemon.processes.start import start
from nacre.errors import AccountError
from pam_services import all_of

pytestmark = pytest.mark.slow

NOBODY = ProcessCredentials(uid=65534, gid=65534, groups=(65534,))


def shell(command: str, **more: object) -> Program:
    given: dict[str, object] = {"environment": {}, "directory": "/", **more}
    arguments = ["sh", "-c", command]
    return Program(path="/bin/sh", arguments=arguments, **given)  # type: ignore[arg-type]


def started(pam: PAMLogin, program: Program) -> tuple[str, int]:
    """Return what a program of the session has printed, and its status or signal. Blocks."""
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    try:
        job = replace(program, template=pam)
        process = start(job, null, writing, writing, terminal=False)
    finally:
        os.close(writing)
        os.close(null)
        with open(reading, errors="surrogateescape") as file:
            text = file.read()
    how = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert how is not None
    process.wait()
    return text, how.si_status


async def run(pam: PAMLogin, program: Program) -> tuple[str, int]:
    return await asyncio.to_thread(started, pam, program)


# --- passwords and accounts ---


async def test_a_password_of_the_system(
    service: MakeService, system_account: SystemAccount
) -> None:
    name = service("auth required pam_unix.so nodelay", "account required pam_unix.so")
    async with login(name, system_account.name) as pam:
        assert await pam.check_password(system_account.password) == Judged()
        outcome = await pam.check_password("wrong")
        assert outcome.reason == "Authentication failure"
        assert not outcome.expired
        asked = await pam.hold_dialogue()
        assert asked == Prompts((), (("Password: ", False),))
        assert await pam.respond([system_account.password]) == Judged()


@pytest.mark.parametrize("user", ["no-such-account", "\udcff"])
async def test_an_unknown_user(service: MakeService, user: str) -> None:
    name = service("auth required pam_unix.so nodelay", "account required pam_unix.so")
    async with login(name, user) as pam:
        assert (await pam.check_password("x")).reason
        assert (await pam.check_account()).reason


@pytest.mark.parametrize("password", ["secret\0", "x" * 513])
async def test_a_password_that_modules_would_cut_off(service: MakeService, password: str) -> None:
    async with login(service(*all_of(auth="required pam_exec.so expose_authtok /bin/true"))) as pam:
        assert (await pam.check_password("x" * 512)).reason == ""
        assert (await pam.check_password(password)).reason
        assert isinstance(await pam.hold_dialogue(), Prompts)
        assert isinstance(await pam.respond([password]), Judged)


async def test_an_account_is_judged_alone(service: MakeService) -> None:
    async with login(service(*all_of(auth="required pam_deny.so"))) as pam:
        assert await pam.check_account() == Judged()
    async with login(service(*all_of(account="required pam_deny.so"))) as pam:
        assert (await pam.check_account()).reason == "Authentication failure"


async def test_texts_are_kept_for_a_user_who_is_let_in(
    service: MakeService, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("Welcome")
    echo = f"optional pam_echo.so file={tmp_path}/text"
    lines = [*all_of(session=echo), f"account {echo}"]
    async with login(service(*lines)) as pam:
        await pam.check_account()
        await pam.check_account()
        assert pam.texts == ["Welcome"]
        assert not (await pam.open_session([])).reason
        assert pam.texts == ["Welcome"]
    async with login(service(f"account {echo}", "account required pam_deny.so")) as pam:
        assert (await pam.check_account()).texts == ("Welcome",)
        assert pam.texts == []


async def test_a_transaction_that_can_not_begin() -> None:
    child, sock = spawn()
    pam = PAMLogin("nobody", child, sock, lambda: None)
    assert (await pam.begin("a\0b", "192.0.2.1")).reason
    pam.close()
    assert await pam.ended == "status 0"


# --- sessions ---


async def test_what_modules_change_is_the_sessions(service: MakeService, tmp_path: Path) -> None:
    (tmp_path / "limits").write_text("* hard nofile 88\n* soft nofile 77\n")
    (tmp_path / "env").write_text("FROM_PAM DEFAULT=yes\n")
    name = service(
        *all_of(session=f"required pam_limits.so conf={tmp_path}/limits"),
        f"session required pam_env.so conffile={tmp_path}/env readenv=0",
        "session required pam_umask.so umask=0027",
    )
    async with login(name) as pam:
        assert await pam.open_session([65534]) == Judged()
        session = pam.session
        assert session is not None
        assert session.environment == (("FROM_PAM", "yes"),)
        assert (session.groups, session.umask) == ((65534,), 0o027)
        text, status = await run(pam, shell("ulimit -Sn; ulimit -Hn; id -u; umask"))
        assert (text, status) == ("77\n88\n0\n0027\n", 0)


async def test_groups_that_modules_add_are_the_sessions(
    service: MakeService, tmp_path: Path
) -> None:
    async with login(service(*all_of())) as pam:
        await pam.open_session([65534, 7])
        assert pam.session is not None
        assert sorted(pam.session.groups) == [7, 65534]


async def test_a_program_has_its_rights_its_directory_and_its_variables(
    service: MakeService, tmp_path: Path
) -> None:
    rights = ProcessCredentials(uid=65534, gid=65533, groups=(65533, 7), umask=0o077)
    program = shell(
        'id -u; id -g; id -G; pwd; umask; echo "$A"; exit 7',
        credentials=rights,
        directory="/usr",
        environment={"A": "\udcff"},
    )
    async with login(service(*all_of())) as pam:
        await pam.open_session([])
        text, status = await run(pam, program)
    lines = text.encode("utf-8", "surrogateescape").splitlines()
    assert lines == [b"65534", b"65533", b"65533 7", b"/usr", b"0077", b"\xff"]
    assert status == 7


async def test_a_program_is_a_child_of_this_process_and_leads_a_session(
    service: MakeService,
) -> None:
    async with login(service(*all_of())) as pam:
        await pam.open_session([])
        text, status = await run(pam, shell("echo $PPID; cat /proc/$$/stat; kill -9 $$"))
    parent, stat = text.splitlines()
    pid, _, _, _, group, session, *_ = stat.split()
    assert (int(parent), group, session) == (os.getpid(), pid, pid)
    assert status == signal.SIGKILL


async def test_a_program_has_its_three_streams_alone(service: MakeService) -> None:
    async with login(service(*all_of())) as pam:
        await pam.open_session([])
        text, _ = await run(pam, shell("ls /proc/$$/fd"))
    assert text.split() == ["0", "1", "2"]


async def test_a_program_that_can_not_be_started(service: MakeService) -> None:
    async with login(service(*all_of())) as pam:
        await pam.open_session([])
        text, status = await run(pam, replace(shell("true"), path="/no/such/program"))
        assert (text, status) == ("/no/such/program: No such file or directory\n", 1)
        assert await run(pam, shell("echo on")) == ("on\n", 0)


async def test_a_program_with_a_nul_is_not_started(service: MakeService) -> None:
    async with login(service(*all_of())) as pam:
        await pam.open_session([])
        with pytest.raises(ValueError, match="null byte"):
            await run(pam, shell("echo \0"))


async def test_a_long_command_line(service: MakeService) -> None:
    async with login(service(*all_of())) as pam:
        await pam.open_session([])
        text, _ = await run(pam, shell("echo " + "x" * 100_000))
        assert len(text) == 100_001
        text, status = await run(pam, shell("echo " + "x" * 1_000_000))
        assert (text, status) == ("/bin/sh: Argument list too long\n", 1)


@pytest.mark.parametrize("refuses", ["auth", "session"])
async def test_a_session_may_be_refused(service: MakeService, refuses: str) -> None:
    async with login(service(*all_of(**{refuses: "required pam_deny.so"}))) as pam:
        outcome = await pam.open_session([])
        assert bool(outcome.reason) is (refuses == "session")
        assert (pam.session is None) is (refuses == "session")


async def test_the_end_closes_the_session(service: MakeService, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\necho "$PAM_TYPE $PAM_USER $PAM_RHOST" >> {tmp_path}/log\n')
    script.chmod(0o755)
    async with login(service(*all_of(session=f"required pam_exec.so {script}"))) as pam:
        await pam.open_session([])
        assert (tmp_path / "log").read_text() == "open_session nobody 192.0.2.1\n"
    assert await pam.ended == "status 0"
    assert (tmp_path / "log").read_text().splitlines()[1:] == ["close_session nobody 192.0.2.1"]


# --- the end ---


async def test_a_process_that_is_killed_fails_what_waits(service: MakeService) -> None:
    async with login(service(*all_of(auth="required pam_unix.so"))) as pam:
        assert isinstance(await pam.hold_dialogue(), Prompts)
        os.kill(pam.pid, signal.SIGKILL)
        with pytest.raises(AccountError, match="the process of PAM has ended: signal 9"):
            await pam.respond(["x"])
        with pytest.raises(OSError, match="the process of PAM does not answer"):
            await run(pam, shell("true"))


async def test_a_process_that_does_not_answer_is_killed(
    service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with login(service(*all_of(account="required pam_exec.so /bin/sleep 20"))) as pam:
        monkeypatch.setattr(module, "PATIENCE", 0.2)
        with pytest.raises(AccountError, match="not answered"):
            await pam.check_account()
        assert await asyncio.wait_for(asyncio.shield(pam.ended), 20) == "signal 9"


async def test_a_process_that_does_not_end_is_killed(
    service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE", 0.2)
    async with login(service(*all_of(account="required pam_exec.so /bin/sleep 20"))) as pam:
        asking = asyncio.create_task(pam.check_account())
        await asyncio.sleep(0)
        pam.close()
        with pytest.raises(AccountError):
            await asyncio.wait_for(asking, 20)
        assert pam.ended.result() == "signal 9"


async def test_who_counts_logins_is_told_once_the_session_is_open_and_at_the_end(
    service: MakeService,
) -> None:
    told: list[str] = []
    name = service(*all_of())  # which skips the test where there is no PAM
    child, sock = spawn()
    pam = PAMLogin("nobody", child, sock, lambda: told.append("settled"))
    await pam.begin(name, "192.0.2.1")
    assert told == []
    await pam.open_session([])
    assert told == ["settled"]
    pam.close()
    await pam.ended
    assert told == ["settled", "settled"]
