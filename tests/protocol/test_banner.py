from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import VersionError
from nacre.limits import Limits
from nacre.protocol.banner import BannerReader, Identification, identification
from nacre.protocol.phases import Role

LIMITS = Limits()


def read(data: bytes, role: Role = Role.CLIENT, limits: Limits = LIMITS) -> Identification | None:
    return BannerReader(role, limits).receive(data)


def test_line() -> None:
    peer = read(b"SSH-2.0-OpenSSH_9.2 Debian-2\r\n")
    assert peer == Identification(b"SSH-2.0-OpenSSH_9.2 Debian-2", "2.0", "OpenSSH_9.2", ())
    assert identification("2.0", "nacre_1") == b"SSH-2.0-nacre_1"


def test_line_feed_alone_ends_a_line() -> None:
    peer = read(b"SSH-1.99-Cisco-1.25\n")
    assert peer is not None
    assert (peer.protocol, peer.software, peer.major) == ("1.99", "Cisco-1.25", 1)


@given(st.lists(st.integers(0, 60)))
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    data = b"hello\r\nworld\nSSH-2.0-x y\r\nfollowing"
    reader = BannerReader(Role.CLIENT, LIMITS)
    peer = None
    edges = sorted({0, *(c for c in cuts if c < 26), 26})
    for start, end in itertools.pairwise(edges):
        assert peer is None
        peer = reader.receive(data[start:end])
    assert peer is not None
    assert peer.before == ("hello", "world")


def test_what_follows_is_kept() -> None:
    reader = BannerReader(Role.SERVER, LIMITS)
    reader.receive(b"SSH-2.0-x\r\n\0\0\0\x0c")
    assert reader.rest == b"\0\0\0\x0c"


def test_255_bytes_are_taken_and_256_are_not() -> None:
    line = b"SSH-2.0-" + b"x" * (255 - 8 - 2) + b"\r\n"
    assert len(line) == 255
    assert read(line) is not None
    with pytest.raises(VersionError, match="longer than 255"):
        read(line[:-2] + b"x\r\n")
    with pytest.raises(VersionError, match="longer than 255"):
        read(line[:-2] + b"xxx")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00\x01", r"\x16\x03\x01"),
        (b"\x1b[2J\n", r"\x1b[2J"),
        (b"SSX", "SSX"),
    ],
)
def test_a_client_that_is_not_ssh_is_shown_safely(data: bytes, shown: str) -> None:
    with pytest.raises(VersionError) as caught:
        read(data, Role.SERVER)
    assert shown in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "word"),
    [(b"HTTP/1.1 400 Bad Request\r\n", "HTTP"), (b"\x15\x03\x01\0\2\2\x46", "TLS")],
)
def test_a_server_that_is_not_ssh_is_named(data: bytes, word: str) -> None:
    with pytest.raises(VersionError, match=word):
        read(data)


@pytest.mark.parametrize(
    "line",
    [
        b"SSH-2.0\r\n",
        b"SSH-2-x\r\n",
        b"SSH-x.0-y\r\n",
        b"SSH-2.0-a\0b\r\n",
        b"SSH--x\r\n",
        b"SSH-99999999999.0-x\r\n",
    ],
)
def test_broken_lines(line: bytes) -> None:
    with pytest.raises(VersionError):
        read(line)


def test_lines_before_are_bounded() -> None:
    limits = Limits(version_lines_before=3, version_octets_before=100)
    with pytest.raises(VersionError, match="4 lines"):
        read(b"a\n" * 4, limits=limits)
    with pytest.raises(VersionError, match="does not speak SSH"):
        read(b"a" * 101, limits=limits)
    with pytest.raises(VersionError, match="does not speak SSH"):
        read(b"a" * 60 + b"\n" + b"b" * 60, limits=limits)
