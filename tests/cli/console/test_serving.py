"""Where the console listens, and what it refuses to do in the clear."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.console.serving import ConsoleSettings, read_key, serve
from nacre.errors import ConfigurationError, StateError
from nacre.server.admission.networks import NetworkSet, parse_networks


def settings(**more: Any) -> ConsoleSettings:
    usual: dict[str, Any] = {"place": ("127.0.0.1", 0), "api": "/nowhere", "authority": None}
    usual |= {"key": "", "certificate": None, "certificate_key": None, "proxies": NetworkSet(())}
    return ConsoleSettings(**{**usual, **more})


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"place": ("0.0.0.0", 0)}, "passwords need HTTPS"),
        ({"place": ("::", 0)}, "passwords need HTTPS"),
        ({"place": ("example.org", 0)}, "passwords need HTTPS"),
        ({"api": "http://192.0.2.1:8022"}, "not of this host"),
        ({"api": "http://localhost.example.org:8022/"}, "not of this host"),
        ({"api": "HTTP://192.0.2.1:8022"}, "not of this host"),
        ({"api": "http://127.0.0.1:80@192.0.2.1:8022"}, "not of this host"),
        ({"api": "ftp://127.0.0.1"}, "neither http"),
        ({"api": "http://["}, "neither http"),
        ({"certificate": Path("x")}, "go together"),
    ],
)
def test_nothing_secret_passes_a_network_in_the_clear(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        settings(**more).check()


@pytest.mark.parametrize(
    "more",
    [
        {"place": ("::1", 0), "api": "http://[::1]:8022"},
        {"api": "http://localhost"},
        {"place": ("localhost", 0), "api": "https://192.0.2.1:8022"},
        {"place": ("0.0.0.0", 0), "certificate": Path("x"), "certificate_key": Path("y")},
    ],
)
def test_what_is_safe_is_permitted(more: dict[str, Any]) -> None:
    settings(**more).check()


_TLS = {"certificate": Path("x"), "certificate_key": Path("y")}


@pytest.mark.parametrize(
    ("more", "origin"),
    [
        ({"place": ("127.0.0.1", 8080)}, "http://localhost:8080"),
        ({"place": ("::1", 80)}, "http://localhost"),
        ({"place": ("127.0.0.1", 0)}, ""),
        ({"place": ("127.0.0.1", 8080), "proxies": NetworkSet(parse_networks(["::1"]))}, ""),
        ({"place": ("files.example.org", 443), **_TLS}, "https://files.example.org"),
        ({"place": ("files.example.org", 8443), **_TLS}, "https://files.example.org:8443"),
        ({"place": ("0.0.0.0", 443), **_TLS}, ""),
        ({"place": ("192.0.2.1", 443), **_TLS}, ""),
        ({"origin": "https://files.example.org"}, "https://files.example.org"),
    ],
)
def test_the_origin_of_pages_is_where_it_listens_unless_it_is_given(
    more: dict[str, Any], origin: str
) -> None:
    chosen = settings(**more)
    chosen.check()
    assert chosen.pages_origin() == origin


@pytest.mark.parametrize(
    ("origin", "why"),
    [("https://192.0.2.1", "IP address"), ("http://files", "HTTPS"), ("files", "https://")],
)
def test_an_origin_where_browsers_have_no_security_keys_is_refused(origin: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--origin {origin}: .*{why}"):
        settings(origin=origin).check()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("nacre_x\n")
    path.chmod(0o640)
    with pytest.raises(StateError, match="chmod 600"):
        read_key(path)
    path.chmod(0o600)
    assert read_key(path) == "nacre_x"
    with pytest.raises(StateError, match="No such file"):
        read_key(tmp_path / "none")


def test_it_serves_until_it_is_told_to_end() -> None:
    told: list[str] = []

    def tell(url: str) -> None:
        told.append(url)
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)

    serve(settings(), tell)
    assert told[0].startswith("http://127.0.0.1:")


def test_an_address_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StateError, match=r"can't listen on 127\.0\.0\.1"):
            serve(settings(place=("127.0.0.1", port)), print)


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "x.pem"
    wrong.write_text("nonsense")
    with pytest.raises(ConfigurationError, match="the certificate can't be used"):
        serve(settings(certificate=wrong, certificate_key=wrong), print)
