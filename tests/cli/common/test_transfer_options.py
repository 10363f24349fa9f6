"""The options that ``nacre sftp`` and ``nacre scp`` share."""

from __future__ import annotations

import pytest

from nacre.cli.common.transfer_options import parse
from nacre.config.client.files import parse as parse_config


@pytest.mark.parametrize(
    ("words", "field", "expected"),
    [
        (["-1"], "protocol", (1,)),
        (["-2", "-o", "Protocol=1"], "protocol", (2,)),
        (["-c", "blowfish"], "cipher", ("blowfish",)),
        (["-c", "aes128-ctr"], "ciphers", "aes128-ctr"),
        (["-P", "2222"], "port", 2222),
        (["-i", "a b"], "identity_files", ("a b",)),
        (["--profile", "legacy"], "profile", "legacy"),
        (["--profile=legacy", "-P", "1"], "profile", "legacy"),
    ],
)
def test_words_of_the_configuration(words: list[str], field: str, expected: object) -> None:
    assert getattr(parse_config(parse(words, "").options), field) == expected


def test_the_configuration_file() -> None:
    assert parse(["h"], "").config_file is None
    assert parse(["-F", "my", "h"], "").config_file == "my"
