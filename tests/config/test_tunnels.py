"""What is to be forwarded, as it is written."""

from __future__ import annotations

import pytest

from nacre.config.client.files import parse
from nacre.config.tunnels import Forward, dynamic, local, place, remote, words_of
from nacre.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080:db:5432", Forward(None, 8080, "db", 5432)),
        ("127.0.0.1:8080:db:5432", Forward("127.0.0.1", 8080, "db", 5432)),
        ("/run/a:db:80", Forward(None, 0, "db", 80, path="/run/a")),
        ("8080:/run/b", Forward(None, 8080, host_path="/run/b")),
        ("/run/a:/run/b", Forward(None, 0, path="/run/a", host_path="/run/b")),
        ("[::1]:8080:[fe80::1%eth0]:80", Forward("::1", 8080, "fe80::1%eth0", 80)),
        (":8080:db:80", Forward("", 8080, "db", 80)),
        ("*:8080:db:80", Forward("*", 8080, "db", 80)),
    ],
)
def test_ports_with_a_place(text: str, expected: Forward) -> None:
    assert local("-L", text) == remote("-R", text) == (expected,)
    words = words_of(expected)
    assert parse([f"LocalForward={words}"]).local_forwards == (expected,)
    assert parse([f"RemoteForward {words}"]).remote_forwards == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1080", Forward(None, 1080)),
        ("[::1]:1080", Forward("::1", 1080)),
        (":1080", Forward("", 1080)),
    ],
)
def test_ports_of_proxies(text: str, expected: Forward) -> None:
    assert parse([f"DynamicForward={text}"]).dynamic_forwards == (expected,)
    assert dynamic("-D", text) == remote("-R", text) == (expected,)
    assert parse([f"RemoteForward={words_of(expected)}"]).remote_forwards == (expected,)


@pytest.mark.parametrize(
    "option",
    [
        "LocalForward=0 h:1",
        "LocalForward=8080 h:0",
        "LocalForward=8080 :80",
        "LocalForward=8080",
        "LocalForward=a:b:c:8080 h:80",
        "LocalForward=::1:8080:h 80:90",
        "LocalForward=[::1:8080 h:80",
        "LocalForward=[::1]x:8080 h:80",
        "LocalForward=65536 h:80",
        "LocalForward=8080:h:80",
        "RemoteForward=8080:h:80",
        "DynamicForward=0",
        "DynamicForward=a:b:1",
        "GatewayPorts=clientspecified",
    ],
)
def test_what_is_refused(option: str) -> None:
    with pytest.raises(ConfigurationError, match=option.partition("=")[0]):
        parse([option])


def test_all_may_be_cleared() -> None:
    words = ["LocalForward=1 h:2", "RemoteForward=1 h:2", "DynamicForward=1", "ForwardAgent=yes"]
    assert parse(words).forwards
    cleared = parse([*words, "ClearAllForwardings=yes"])
    assert cleared.local_forwards + cleared.remote_forwards + cleared.dynamic_forwards == ()
    assert cleared.forward_agent == "SSH_AUTH_SOCK"
    assert not parse([]).forwards


def test_places() -> None:
    assert place("-W", "[::1]:22") == ("::1", 22)
    for bad in ("h", "h:0", ":22", "a:b:c"):
        with pytest.raises(ConfigurationError, match="-W"):
            place("-W", bad)
