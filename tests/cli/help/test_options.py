"""What the options of ``ssh``, ``sftp`` and ``scp`` stand for."""

from __future__ import annotations

import pytest

from nacre.cli.common import arguments, transfer_options
from nacre.cli.help.options import stands_in_ssh, stands_in_transfers
from nacre.config.client.words import SCHEMA


@pytest.mark.parametrize(
    ("letter", "texts"),
    [
        ("p", ("Port=",)),
        ("f", ("ForkAfterAuthentication=yes", "StdinNull=yes")),
        ("t", ("RequestTTY=yes",)),
        ("w", ("Tunnel=yes", "TunnelDevice=")),
        ("V", ()),
    ],
)
def test_options_of_ssh(letter: str, texts: tuple[str, ...]) -> None:
    assert stands_in_ssh(letter) == texts


@pytest.mark.parametrize(
    ("letter", "texts"), [("P", ("Port=",)), ("C", ("Compression=yes",)), ("r", ())]
)
def test_options_of_sftp_and_scp(letter: str, texts: tuple[str, ...]) -> None:
    assert stands_in_transfers(letter) == texts


def test_every_keyword_is_one_of_the_schema() -> None:
    for letter in arguments.LETTERS.replace(":", ""):
        for text in stands_in_ssh(letter):
            assert SCHEMA[text.partition("=")[0]].name == text.partition("=")[0]
    for letter in transfer_options.LETTERS.replace(":", ""):
        for text in stands_in_transfers(letter):
            assert SCHEMA[text.partition("=")[0]].name == text.partition("=")[0]
