"""The options about the edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from nacre.cli.serve.edge import edge_options
from nacre.daemon.edge_settings import NO_EDGE, EdgeSettings


def parsed(*words: str) -> tuple[EdgeSettings | None, str]:
    """Return what the options of a command are parsed to, and what was printed."""
    found: list[Any] = []

    @click.command()
    @edge_options
    @click.option("--other")
    def command(other: str | None, edge: EdgeSettings) -> None:
        found.append(edge)

    done = CliRunner().invoke(command, words)
    return (found[0] if found else None), done.output


def test_without_options_there_is_nothing() -> None:
    assert parsed() == (NO_EDGE, "")


def test_networks_may_be_repeated_and_separated() -> None:
    edge, _ = parsed("--proxy-from", "10.0.0.0/8,192.0.2.1", "--proxy-from", "2001:DB8::/32")
    assert edge is not None
    assert edge.proxy_from == ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")


@pytest.mark.parametrize("bad", ["proxy", "10.0.0.1/8", ""])
def test_what_is_no_network_is_refused(bad: str) -> None:
    edge, said = parsed("--proxy-from", bad)
    assert edge is None
    assert "is no network" in said


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (":9222", ("127.0.0.1", 9222)),
        ("192.0.2.1:0", ("192.0.2.1", 0)),
        ("[::1]:9222", ("::1", 9222)),
    ],
)
def test_metrics_are_on_the_loopback_unless_told(text: str, place: tuple[str, int]) -> None:
    edge, _ = parsed("--metrics", text)
    assert edge is not None
    assert edge.metrics == place


@pytest.mark.parametrize("bad", ["9222", ":", ":99999", "::1:9222", ""])
def test_what_is_no_place_is_refused(bad: str) -> None:
    edge, said = parsed("--metrics", bad)
    assert edge is None
    assert "is not ADDR:PORT" in said


def test_the_api_has_addresses_and_paths(tmp_path: Path) -> None:
    edge, _ = parsed("--api", ":8022", "--api", f"{tmp_path}/api", "--api-group", "7")
    assert edge is not None
    assert edge.api is not None
    assert edge.api.addresses == (("127.0.0.1", 8022), (f"{tmp_path}/api", 0))
    assert edge.api.group == 7
    edge, _ = parsed("--api", "./api")
    assert edge is not None
    assert edge.api is not None
    assert edge.api.addresses == ((str(Path.cwd() / "api"), 0),)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--api", "/x", "--api-cert", "a", "--api-key", "b"), "need --api ADDR:PORT"),
        (("--api", ":8022", "--api-group", "0"), "--api-group needs --api PATH"),
        (("--api", "/x", "--api-group", "no-such-group"), "there is no group 'no-such-group'"),
        (("--api", ":8022", "--api-cert", "a"), "belong together"),
        (("--api", "nowhere"), "is not ADDR:PORT"),
    ],
)
def test_what_does_not_fit_to_the_api_is_refused(words: tuple[str, ...], said: str) -> None:
    edge, output = parsed(*words)
    assert edge is None
    assert said in output
