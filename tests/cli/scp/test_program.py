"""Which way ``scp`` copies a source, and what it reports."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import nacre
from nacre.cli.common.log import Log, open_log
from nacre.cli.scp.program import Copying, ScpSettings, _named
from nacre.cli.scp.remotes import End
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import parse
from nacre.errors import ConnectFailed
from nacre.keys import dump_private
from nacre.value import replace

HOST_KEY = nacre.generate("ssh-ed25519")
USER_KEY = nacre.generate("ssh-ed25519")
SETTINGS = ScpSettings(
    recursive=False,
    preserve=False,
    quiet=True,
    legacy=False,
    direct=False,
    rate=None,
    server=None,
    program=None,
    words=(),
    options={},
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
async def config(root: Path, tmp_path: Path) -> AsyncIterator[ClientConfig]:
    """A configuration for a server whose files are in ``root``."""
    key = tmp_path / "key"
    key.write_bytes(dump_private(USER_KEY))
    key.chmod(0o600)
    async with nacre.listen(
        host_keys=[HOST_KEY],
        policy=nacre.Users({"alice": USER_KEY.public}),
        sftp=lambda session: nacre.LocalFilesystem(root),
        log=lambda record: None,
    ) as server:
        yield parse(
            [
                f"Port={server.port}",
                "User=alice",
                f"IdentityFile={key}",
                "IdentityAgent=none",
                "StrictHostKeyChecking=no",
                "LogLevel=QUIET",
                f"UserKnownHostsFile={tmp_path / 'known_hosts'}",
            ]
        )


def local(path: object) -> End:
    return End(None, ClientConfig(), str(path), str(path))


def remote(config: ClientConfig, path: str, name: str = "127.0.0.1") -> End:
    return End(Target.of(name, config), config, path, f"{name}:{path}")


async def copy(
    *ends: End, settings: ScpSettings = SETTINGS, config: ClientConfig | None = None
) -> tuple[int, Copying]:
    *sources, target = ends
    with open_log() as file:
        copying = Copying(settings, Log((config or ClientConfig()).log_level, file))
        try:
            return await copying.run(sources, target), copying
        finally:
            await copying.close()


async def test_down_up_and_through(config: ClientConfig, root: Path, tmp_path: Path) -> None:
    (root / "f").write_text("x")
    assert (await copy(remote(config, "f"), local(tmp_path / "down")))[0] == 0
    assert (await copy(local(tmp_path / "down"), remote(config, "up")))[0] == 0
    assert (await copy(remote(config, "up"), remote(config, "through", "localhost")))[0] == 0
    assert {(root / name).read_text() for name in ("f", "up", "through")} == {"x"}


async def test_a_source_that_fails_does_not_stop_the_others(
    config: ClientConfig, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "f").write_text("x")
    status, copying = await copy(remote(config, "nosuch"), remote(config, "f"), local(tmp_path))
    assert (status, copying.failures) == (1, 1)
    assert capsys.readouterr().err == "scp: nosuch: No such file or directory\n"
    assert (tmp_path / "f").exists()


async def test_copies_on_this_machine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    tree = dataclasses.replace(SETTINGS, recursive=True, preserve=True)
    assert (await copy(local(tmp_path / "d"), local(tmp_path / "e"), settings=tree))[0] == 0
    assert (tmp_path / "e" / "f").read_text() == "x"
    status, _ = await copy(local(tmp_path / "no"), local(tmp_path / "e"))
    assert (status, "No such file" in capfd.readouterr().err) == (1, True)


async def test_names_on_this_machine_are_no_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2006-0225: OpenSSH's scp had a shell copy, which expanded the names again."""
    monkeypatch.chdir(tmp_path)
    for name in ("a;touch ran", "$(touch ran)", "`touch ran`", "a b", "-r", "*", "'"):
        (tmp_path / name).write_text(name)
        assert (await copy(local(tmp_path / name), local(tmp_path / "copy")))[0] == 0
        assert (tmp_path / "copy").read_text() == name
        assert (await copy(local(tmp_path / "copy"), local(tmp_path / f"{name}2")))[0] == 0
        assert (tmp_path / f"{name}2").read_text() == name
    assert not (tmp_path / "ran").exists()


async def test_several_copies_on_this_machine_need_a_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    status, _ = await copy(*(local(tmp_path / name) for name in "abc"))
    assert (status, (tmp_path / "c").read_text()) == (1, "c")
    assert "Not a directory" in capsys.readouterr().err


async def test_what_can_t_be_copied(
    config: ClientConfig, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    (root / "d").mkdir()
    for ends, settings, message in (
        ((local("no"), remote(config, "x")), SETTINGS, 'scp: stat local "no": No such file'),
        ((remote(config, "d"), local(tmp_path)), SETTINGS, "scp: d: not a regular file"),
        (
            (remote(config, "d"), remote(config, "d"), local(file)),
            SETTINGS,
            f"scp: {file}: Not a directory",
        ),
        (
            (local(file), local(file), remote(config, "none")),
            SETTINGS,
            'scp: "none": Not a directory',
        ),
    ):
        status, _ = await copy(*ends, settings=settings)
        assert (status, message in capsys.readouterr().err) == (1, True), message


async def test_the_host_that_failed_is_known(
    config: ClientConfig, root: Path, unused_tcp_port: int
) -> None:
    (root / "f").write_text("x")
    dead = replace(config, port=unused_tcp_port)
    with open_log() as file:
        copying = Copying(SETTINGS, Log(config.log_level, file))
        try:
            with pytest.raises(ConnectFailed):
                await copying.run([remote(config, "f")], remote(dead, "x", "localhost"))
        finally:
            await copying.close()
    assert copying.reached is not None
    assert copying.reached.name == "localhost"


def test_a_copy_gets_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _named("a/b/") == "a/b"
    assert _named(".") == str(tmp_path)
    assert _named("x/..") == str(tmp_path)
