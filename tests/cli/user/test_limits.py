"""Numbers of bytes as operators write them."""

from __future__ import annotations

import click
import pytest

from nacre.cli.user.limits import OPTIONS, SHARED_OPTIONS, OptionOf, rate, size, written_size
from nacre.sftp.filesystems.quota.limits import LARGEST, NAMES, PERIOD, SHARED

SIZES = [
    ("0", 0),
    ("none", 0),
    ("4096", 4096),
    ("10k", 10 << 10),
    ("500M", 500 << 20),
    ("3 GiB".replace(" ", ""), 3 << 30),
    ("2TB", 2 << 40),
]


@pytest.mark.parametrize(("text", "number"), SIZES, ids=[text for text, _ in SIZES])
def test_a_number_of_bytes(text: str, number: int) -> None:
    assert size(text) == number
    shown = written_size(number)
    assert shown is not None
    assert size(shown) == number


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "10P", "1e3", str(LARGEST + 1), "9" * 40])
def test_no_number_of_bytes(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write for example 500M, 10G, 4096 or none"):
        size(text)


def test_what_is_shown() -> None:
    assert [written_size(number) for number in (None, 0, 1000, 1 << 20, 3 << 29, LARGEST)] == [
        *(None, "none", "1000", "1M", "1536M"),
        str(LARGEST),
    ]


def test_rates() -> None:
    assert (rate("2M"), rate("4K/s"), rate("none")) == (2 << 20, 4096, 0)
    with pytest.raises(click.BadParameter, match="4096 bytes a second is the least"):
        rate("4095")


@pytest.mark.parametrize(("options", "prefix"), [(OPTIONS, ""), (SHARED_OPTIONS, SHARED)])
def test_each_limit_is_an_option(options: tuple[OptionOf, ...], prefix: str) -> None:
    @click.command()
    def command(**given: object) -> None:
        """Take options."""

    for option in options:
        option(command)
    assert {one.name for one in command.params} == {prefix + name for name in (*NAMES, PERIOD)}
