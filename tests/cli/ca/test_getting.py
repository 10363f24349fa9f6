"""``nacre ca get``: whether a certificate is due, and which answer is believed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nacre.cli.ca.getting import _certificate, _is_fresh, get, read_public, target_of
from nacre.errors import UnusableKey
from nacre.keys import Certificate, generate

KEY, CA = generate("ssh-ed25519").public, generate("ssh-ed25519")


def line(begin: int, end: int) -> str:
    return f"{Certificate.issue(KEY, CA, valid_after=begin, valid_before=end)}\n"


@pytest.mark.parametrize(
    ("begin", "end", "fresh"),
    [(0, 299, True), (0, 151, True), (0, 150, False), (0, 99, False), (101, 300, False)],
)
def test_it_is_due_when_a_third_is_left(tmp_path: Path, begin: int, end: int, fresh: bool) -> None:
    path = tmp_path / "id-cert.pub"
    assert not _is_fresh(path, KEY, 100)
    path.write_text(line(begin, end))
    assert _is_fresh(path, KEY, 100) is fresh
    assert not _is_fresh(path, CA.public, 100)


@pytest.mark.parametrize(
    "answer",
    [
        f"{KEY}",
        f"{Certificate.issue(KEY, CA, kind='host')}",
        f"{Certificate.issue(CA.public, CA)}",
        "",
    ],
    ids=["a key", "of a host", "of another key", "nothing"],
)
def test_an_answer_that_is_no_certificate_of_the_key(answer: str) -> None:
    with pytest.raises(UnusableKey):
        _certificate(answer.encode(), KEY)


def test_the_key_is_in_a_public_file(tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(f"{KEY} mine\n")
    for path in (tmp_path / "id", tmp_path / "id.pub"):
        assert read_public(path) == (KEY, "mine")
        assert target_of(path) == tmp_path / "id-cert.pub"
    (tmp_path / "id.pub").write_text(line(0, 1))
    with pytest.raises(UnusableKey, match="name the file of its key"):
        read_public(tmp_path / "id")
    with pytest.raises(UnusableKey, match="can't read"):
        read_public(tmp_path / "none")


def test_nothing_is_done_while_it_is_fresh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "id.pub").write_text(f"{KEY}\n")
    now = int(time.time())
    (tmp_path / "id-cert.pub").write_text(line(now - 60, now + 3600))

    def call(identity: Path, *, if_needed: bool) -> int:
        return get(
            "nacre ca get",
            "127.0.0.1",
            identity=identity,
            port=1,
            config_file="none",
            options=["BatchMode=yes", "ConnectTimeout=10"],
            if_needed=if_needed,
        )

    assert call(tmp_path / "id", if_needed=True) == 0
    assert call(tmp_path / "id", if_needed=False) != 0  # nobody listens there
    assert call(tmp_path / "none", if_needed=True) == 1
    assert "can't read the public key" in capsys.readouterr().err
