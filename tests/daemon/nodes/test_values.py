"""The names of nodes."""

from __future__ import annotations

import socket

import pytest

from nacre.daemon.nodes.values import check_node_name, node_identity
from nacre.errors import ConfigurationError


@pytest.mark.parametrize("name", ["web1", "a", "db-2.example.org", "9_x", "x" * 64])
def test_names_that_are_possible(name: str) -> None:
    assert check_node_name(name) == name


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a:b", "x" * 65, "ä", "a\n"])
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be the name of a node"):
        check_node_name(name)


@pytest.mark.parametrize(
    ("host", "name"), [("web1", "web1"), ("a b:c", "a-b-c"), ("--", "node"), ("x" * 80, "x" * 64)]
)
def test_by_default_it_is_that_of_the_host(
    monkeypatch: pytest.MonkeyPatch, host: str, name: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert node_identity(None).name == name
    assert check_node_name(name)
    assert node_identity("web2").name == "web2"


def test_servers_differ_and_one_that_follows_another_does_not() -> None:
    one, two = node_identity("web1"), node_identity("web1")
    assert one.server != two.server
    assert node_identity("web1", one.server) == one
