"""nacre's client with certificates, at an sshd that trusts their authority and no key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.agents import agent
from interop.clients import ME, Login
from interop.daemons import start_sshd
from interop.programs import check, require, run

pytestmark = pytest.mark.untraced


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    for name in ("authority", "key", "moved", "rsa", "locked"):
        kind = ["-t", "rsa", "-b", "2048"] if name == "rsa" else ["-t", "ed25519"]
        secret = "secret" if name == "locked" else ""
        check([require("ssh-keygen"), "-q", *kind, "-a", "1", "-N", secret, "-f", made / name])
    certify(made, "key", "moved", "rsa", "locked")
    (made / "moved-cert.pub").rename(made / "certificate")
    return made


def certify(directory: Path, *names: str, options: tuple[str, ...] = ()) -> None:
    sign = [require("ssh-keygen"), "-q", "-s", directory / "authority", "-I", "me", "-n", ME]
    check([*sign, *options, *(directory / f"{name}.pub" for name in names)])


@pytest.fixture(scope="module")
def login(directory: Path, host_keys: dict[str, Path]) -> Iterator[Login]:
    none = directory / "authorized_keys"
    none.write_text("")
    trust = f"TrustedUserCAKeys {directory / 'authority.pub'}"
    with start_sshd(directory, [host_keys["ed25519"]], none, trust) as daemon:
        yield Login(daemon, ME, directory)


def logs_in(login: Login, key: Path, *options: str, **environment: Any) -> bool:
    """Return whether nacre's client logs in; ssh must do the same."""
    said = {}
    for name in ("nacre_ssh", "ssh"):
        command = getattr(login.using(key), name)("BatchMode=yes", *options)
        said[name] = run([*command, "echo in"], **environment).stdout
    assert said["nacre_ssh"] == said["ssh"]
    return said["nacre_ssh"] == b"in\n"


@pytest.mark.parametrize("name", ["key", "rsa"])
def test_a_certificate_beside_the_key(login: Login, directory: Path, name: str) -> None:
    assert logs_in(login, directory / name)


def test_a_certificate_that_is_named(login: Login, directory: Path) -> None:
    assert not logs_in(login, directory / "moved")
    assert logs_in(login, directory / "moved", f"CertificateFile={directory / 'certificate'}")


def test_a_certificate_for_another_key_is_of_no_use(login: Login, directory: Path) -> None:
    assert not logs_in(login, directory / "key", f"CertificateFile={directory / 'certificate'}")


def test_certificates_and_agents(login: Login, directory: Path) -> None:
    """The agent has the certificate; or the key alone, whose certificate is in a file."""
    with agent() as sock:
        check([require("ssh-add"), "-q", directory / "key"], SSH_AUTH_SOCK=sock)
        check([require("ssh-add"), "-q", directory / "moved"], SSH_AUTH_SOCK=sock)
        public = directory / "moved.pub"
        named = f"CertificateFile={directory / 'certificate'}"
        assert logs_in(login, public, "IdentitiesOnly=no", SSH_AUTH_SOCK=sock)
        assert not logs_in(login, public, SSH_AUTH_SOCK=sock)
        assert logs_in(login, public, named, SSH_AUTH_SOCK=sock)


@pytest.mark.parametrize(
    "options",
    [("-V", "20200101:20210101"), ("-h",)],
    ids=["expired", "for hosts"],
)
def test_certificates_that_are_refused(
    login: Login, directory: Path, options: tuple[str, ...]
) -> None:
    certify(directory, "moved", options=options)
    try:
        assert not logs_in(login, directory / "moved")
    finally:
        (directory / "moved-cert.pub").unlink()


def test_a_passphrase_is_asked_for_once_the_server_has_taken_the_certificate(
    login: Login, directory: Path
) -> None:
    asked = directory / "asked"
    program = directory / "askpass"
    program.write_text(f'#!/bin/sh\necho "$1" >> {asked}\necho secret\n')
    program.chmod(0o700)
    how: dict[str, Any] = {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
    command = [*login.using(directory / "locked").nacre_ssh(), "echo in"]
    assert run(command, **how).stdout == b"in\n"
    assert asked.read_text() == f"Enter passphrase for key '{directory / 'locked'}': \n"
