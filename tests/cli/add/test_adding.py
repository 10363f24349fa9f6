"""The agent gets the keys of files."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cli.add.held import CERTIFICATE, KEY, OTHER, Answers, save, save_certificate
from nacre.agent.client import Agent
from nacre.keys import dump_private, generate

Do = Callable[..., Awaitable[bool]]


async def test_a_key_comes_with_the_certificate_beside_it(
    agent: Agent, do: Do, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "key", KEY)
    beside = save_certificate(path)
    assert await do("-t", "1h", path)
    assert await agent.keys() == [(KEY.public, "a key"), (CERTIFICATE, "a key")]
    assert capsys.readouterr().err.splitlines() == [
        f"Identity added: {path} (a key)",
        "Lifetime set to 3600 seconds",
        f"Certificate added: {beside} (me)",
        "Lifetime set to 3600 seconds",
    ]


@pytest.mark.parametrize(("option", "held"), [("-k", [KEY.public]), ("-C", [CERTIFICATE])])
async def test_the_key_or_the_certificate_alone(
    agent: Agent, do: Do, tmp_path: Path, option: str, held: list[object]
) -> None:
    path = save(tmp_path / "key", KEY)
    save_certificate(path)
    assert await do("-q", option, path)
    assert [key for key, _ in await agent.keys()] == held


async def test_without_a_comment_the_file_is_the_comment(
    agent: Agent, do: Do, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    KEY.comment, comment = "", KEY.comment
    try:
        save(path, KEY)
    finally:
        KEY.comment = comment
    assert await do("-q", path)
    assert [comment for _, comment in await agent.keys()] == [str(path)]


async def test_a_passphrase_is_asked_for_until_it_fits_and_tried_on_the_next_file(
    agent: Agent, do: Do, tmp_path: Path, answers: Answers
) -> None:
    files = [save(tmp_path / "one", KEY, "right"), save(tmp_path / "two", OTHER, "right")]
    answers += ["wrong", "right"]
    assert await do("-q", "-c", *files)
    assert answers.asked == [
        f"Enter passphrase for {files[0]} (will confirm each use): ",
        f"Bad passphrase, try again for {files[0]} (will confirm each use): ",
    ]
    assert [key for key, _ in await agent.keys()] == [KEY.public, OTHER.public]


async def test_a_key_of_ssh_1_is_refused_with_the_reason(
    agent: Agent, do: Do, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await do("-q", save(tmp_path / "one", generate("rsa1", bits=1024)))
    assert "agents hold no keys of SSH-1: name the file" in capsys.readouterr().err
    assert await agent.keys() == []


async def test_an_empty_passphrase_skips_the_file(
    agent: Agent, do: Do, tmp_path: Path, answers: Answers
) -> None:
    files = [save(tmp_path / "one", KEY, "secret"), save(tmp_path / "two", OTHER)]
    assert not await do("-q", *files)
    assert [key for key, _ in await agent.keys()] == [OTHER.public]


async def test_a_key_on_standard_input(
    agent: Agent, do: Do, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(dump_private(KEY))))
    assert await do("-")
    assert [key for key, _ in await agent.keys()] == [KEY.public]
    assert capsys.readouterr().err == "Identity added: (stdin) (a key)\n"


async def test_files_that_can_not_be_added_do_not_hold_up_the_others(
    agent: Agent, do: Do, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("no key\n")
    (tmp_path / "text").chmod(0o600)
    open_to_all = save(tmp_path / "open", OTHER)
    open_to_all.chmod(0o644)
    files = [tmp_path / "missing", tmp_path / "text", open_to_all, save(tmp_path / "key", KEY)]
    assert not await do("-q", *files)
    assert [key for key, _ in await agent.keys()] == [KEY.public]
    said = capsys.readouterr().err
    assert f"{files[0]}: No such file or directory\n" in said
    assert f'Error loading key "{files[1]}": ' in said
    assert "WARNING: UNPROTECTED PRIVATE KEY FILE!" in said
    assert f"Permissions 0644 for '{open_to_all}' are too open.\n" in said


async def test_a_certificate_that_does_not_fit_is_told_and_the_key_is_added(
    agent: Agent, do: Do, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "key", OTHER)
    beside = save_certificate(path)
    assert await do("-q", path)
    assert [key for key, _ in await agent.keys()] == [OTHER.public]
    expected = f"Certificate {beside} does not match private key {path}\n"
    assert capsys.readouterr().err == expected


async def test_an_agent_that_refuses(
    agent: Agent, do: Do, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await agent.lock("secret")
    path = save(tmp_path / "key", KEY)
    assert not await do(path)
    assert f'Could not add identity "{path}": the agent refuses' in capsys.readouterr().err
