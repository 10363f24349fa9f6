"""What lets a key in to an account: which source counts, and what is told of the others."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts.accounts import own_account
from nacre.daemon.accounts.authorized.search import KeySearch
from nacre.errors import AccountError, UnusableKey
from nacre.keys import PublicKey, generate
from nacre.keys.certificate import Certificate
from nacre.keys.key_options import KeyOptions
from nacre.keys.shown import ShownKey

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only programs of root are run")

CA, KEY = (generate("ssh-ed25519") for _ in range(2))
CERTIFICATE = Certificate.issue(KEY.public, CA, principals=["alice", "web"], serial=7, key_id="i d")


@pytest.fixture
def place() -> Iterator[Path]:
    path = Path(f"/srv/nacre-search-{os.getpid()}")
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


Search = Callable[..., KeySearch]


@pytest.fixture
def search(place: Path) -> Search:
    """Return a search for a key of alice, whose home is ``place``."""

    def make(key: PublicKey, **config: Any) -> KeySearch:
        chosen = {"authorized_keys_files": ("keys",), **config}
        return KeySearch(
            shown=ShownKey(key=key, user="alice", address="192.0.2.1", now=1e9),
            account=replace(own_account(), name="alice", home=str(place)),
            config=ServerConfig(**chosen),
            endpoints=lambda: {"C": "192.0.2.2 22 192.0.2.1 5", "D": "vrf"},
        )

    return make


async def found(one: KeySearch) -> KeyOptions | None:
    return one.in_files() or await one.elsewhere(asyncio.to_thread)


def program(place: Path, name: str, text: str) -> str:
    path = place / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_files_come_first_then_the_command_then_authorities(
    place: Path, search: Search
) -> None:
    (place / "ca").write_text(f"{CA.public}\n")
    line = f'command=\\"of the command\\",cert-authority {CA.public}'
    config = {
        "trusted_user_ca_keys": str(place / "ca"),
        "authorized_keys_command": program(place, "print", f'echo "{line}"'),
        "authorized_keys_command_user": own_account().name,
    }
    (place / "keys").write_text(f'command="of the file",cert-authority {CA.public}\n')
    options = await found(search(CERTIFICATE, **config))
    assert options is not None
    assert options.command == "of the file"
    (place / "keys").unlink()
    options = await found(search(CERTIFICATE, **config))
    assert options is not None
    assert options.command == "of the command"
    program(place, "print", "exit 1")
    one = search(CERTIFICATE, **config)
    options = await found(one)
    assert options is not None
    assert options.command is None
    assert len(one.problems) == 1
    assert "status 1" in one.problems[0]
    assert await found(search(KEY.public, **config)) is None


async def test_lines_that_are_skipped_are_named(place: Path, search: Search) -> None:
    (place / "keys").write_text(f"\nnonsense {KEY.public}\n")
    text = f"echo; echo; echo 'from=\"10.0.0.0/8\" {KEY.public}'; echo '{KEY.public}'"
    one = search(
        KEY.public,
        authorized_keys_command=program(place, "print", text),
        authorized_keys_command_user=own_account().name,
    )
    assert await found(one) is not None
    file, output = one.problems
    assert file.startswith(f"{place}/keys line 2: ")
    assert output.startswith("the output of AuthorizedKeysCommand, line 3: ")


async def test_a_revoked_key_is_not_looked_for(place: Path, search: Search) -> None:
    (place / "keys").write_text(f"{KEY.public}\n")
    (place / "revoked").write_text(f"{KEY.public}\n")
    for key in (KEY.public, CERTIFICATE):
        with pytest.raises(AccountError, match="revoked"):
            await found(search(key, revoked_keys=str(place / "revoked")))


async def test_principals_of_a_file_and_then_of_a_command(place: Path, search: Search) -> None:
    (place / "ca").write_text(f"{CA.public}\n")
    show = 'echo "$@" > arguments; echo no-pty web'.replace("arguments", str(place / "arguments"))
    config = {
        "trusted_user_ca_keys": str(place / "ca"),
        "authorized_principals_file": "%h/principals",
        "authorized_principals_command": program(place, "print", show)
        + " %u %i %s %t %T %f %F %k %K %C %D",
        "authorized_principals_command_user": own_account().name,
    }
    options = await found(search(CERTIFICATE, **config))
    assert options is not None
    assert not options.pty
    arguments = (place / "arguments").read_text().split(" ")
    assert arguments[:6] == ["alice", "i", "d", "7", CERTIFICATE.type, "ssh-ed25519"]
    assert arguments[6:8] == [KEY.public.fingerprint(), CA.public.fingerprint()]
    assert arguments[8:10] == [str(CERTIFICATE).split()[1], str(CA.public).split()[1]]
    assert " ".join(arguments[10:]) == "192.0.2.2 22 192.0.2.1 5 vrf\n"
    (place / "principals").write_text("nonsense web\nno-user-rc web\n")
    one = search(CERTIFICATE, **config)
    options = await found(one)
    assert options is not None
    assert (options.pty, options.user_rc) == (True, False)
    assert len(one.problems) == 1
    program(place, "print", "echo other")
    (place / "principals").write_text("other\n")
    with pytest.raises(UnusableKey, match="principals is authorized"):
        await found(search(CERTIFICATE, **config))


async def test_an_authority_that_is_not_trusted_is_no_error(place: Path, search: Search) -> None:
    (place / "ca").write_text(f"{KEY.public}\n")
    assert await found(search(CERTIFICATE, trusted_user_ca_keys=str(place / "ca"))) is None
