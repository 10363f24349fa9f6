"""``nacre ssh`` logs in to Dropbear, and Dropbear's client to ``nacre serve``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from interop.clients import PASSWORD, Account, Login
from interop.programs import check, require, run
from interop.suites import echo, echo_with_each, server_suites
from interop.terminal import Terminal


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_algorithm(
    to_dropbear: Login, record_property: Callable[[str, object], None]
) -> None:
    suites = server_suites(to_dropbear.server.port)
    assert {"curve25519-sha256", "ssh-ed25519", "hmac-sha2-256"} <= {s.name for s in suites}
    table, failures = echo_with_each(suites, lambda words: to_dropbear.nacre_ssh(*words))
    record_property("table: nacre ssh to Dropbear", table)
    assert not failures, "\n\n".join(failures)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"])
def test_publickey(to_dropbear: Login, keys: dict[str, Path], kind: str) -> None:
    done = run([*to_dropbear.using(keys[kind]).nacre_ssh(), "echo in; exit 4"])
    assert (done.stdout, done.returncode) == (b"in\n", 4), done.stderr


def test_password(to_dropbear: Login, system_account: Account) -> None:
    with Terminal([*to_dropbear.using(None).nacre_ssh(), "echo i''n"]) as terminal:
        terminal.expect("assword: ?")
        terminal.type(system_account.password + "\n")
        terminal.expect("in\r\n")
        assert terminal.wait() == 0


def test_shell_at_a_terminal_with_resize(to_dropbear: Login) -> None:
    with Terminal(to_dropbear.nacre_ssh(flags=["-tt"]), rows=24, columns=80) as terminal:
        terminal.expect_size(24, 80)
        terminal.resize(50, 132)
        terminal.expect_size(50, 132)
        terminal.type("exit 3\n")
        assert terminal.wait() == 3


def test_rekey_limit(to_dropbear: Login) -> None:
    echo(to_dropbear.nacre_ssh("RekeyLimit=64K"))


def dropbear_client(login: Login) -> list[str]:
    """Return the beginning of a command of dbclient, with keepalives of its own.

    Without them, one in 300 does not see its end: it got the last data and CLOSE together, and
    nothing wakes it. It is the same with sshd.
    """
    return [require("dbclient"), "-y", "-y", "-K", "1", "-p", str(login.server.port)]


def test_dbclient_logs_in_and_echoes(
    to_nacre: Login, keys: dict[str, Path], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    check([require("dropbearconvert"), "openssh", "dropbear", keys["ed25519"], key])
    dbclient = dropbear_client(to_nacre)
    echo([*dbclient, "-i", str(key), "any@127.0.0.1"], HOME=str(tmp_path))


def test_dbclient_with_password(to_nacre: Login, tmp_path: Path) -> None:
    dbclient = dropbear_client(to_nacre)
    command = [*dbclient, "any@127.0.0.1", "echo i''n; exit 6"]
    with Terminal(command, HOME=str(tmp_path)) as terminal:
        terminal.expect("assword: ?")
        terminal.type(PASSWORD + "\n")
        terminal.expect("in\r?\n")
        assert terminal.wait() == 6
