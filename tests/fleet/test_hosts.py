"""Where the hosts of a run come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.errors import ConfigurationError
from nacre.fleet.hosts import (
    FleetHost,
    FleetSources,
    Inventory,
    config_names,
    read_groups,
    read_names,
)

WEB1 = FleetHost("web1", "192.0.2.1", 2222, "root", {"rack": "r 1"})
KNOWN = Inventory(
    {"web1": WEB1}, {"web": ("web1", "web2"), "db": ("db[1-2]",), "both": ("@web,@db",)}
)


def names(*texts: str, without: tuple[str, ...] = ()) -> list[str]:
    return [host.name for host in FleetSources([KNOWN]).select(texts, without)]


def test_hosts_are_named_by_node_sets_groups_and_exclusions() -> None:
    assert names("web[2-3]", "@db") == ["web2", "web3", "db1", "db2"]
    assert names("@both", without=("web2,@db",)) == ["web1"]
    assert names("@w*,web1") == ["web1", "web2"]
    assert names("@all") == ["web1", "web2", "db1", "db2"]


def test_a_host_of_an_inventory_has_what_is_known_of_it() -> None:
    found = FleetSources([KNOWN]).select(["web1,alice@web1:22,bob@[::1]:23"])
    assert found == [
        WEB1,
        FleetHost("alice@web1:22", "192.0.2.1", 22, "alice", {"rack": "r 1"}),
        FleetHost("bob@[::1]:23", "::1", 23, "bob"),
    ]


def test_the_first_source_that_knows_a_host_counts() -> None:
    other = Inventory({"web1": FleetHost("web1", "other")}, {"web": ("web3",)})
    sources = FleetSources([KNOWN, other])
    assert sources.select(["web1"]) == [WEB1]
    assert sources.names("@web") == ["web1", "web2", "web3"]


def test_an_unknown_group_is_an_error_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match="no group cache; groups: both, db, web"):
        names("@cache")
    with pytest.raises(ConfigurationError, match="--inventory"):
        FleetSources().select(["@cache"])


def test_a_group_that_has_itself_as_a_part_is_an_error() -> None:
    circle = Inventory({}, {"a": ("@b",), "b": ("@a",)})
    with pytest.raises(ConfigurationError, match="has itself as a part"):
        FleetSources([circle]).select(["@a"])


def test_a_name_that_a_shell_could_act_on_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="can't be the name of a host"):
        names("-oProxyCommand=x")


def test_variables_are_quoted_for_the_shell() -> None:
    assert WEB1.fill("echo %{rack} %{host} 100%%") == "echo 'r 1' web1 100%"
    assert WEB1.fill("date +%s 5%%") == "date +%s 5%%"
    assert WEB1.fill("/srv/%{rack}/%{address}", str) == "/srv/r 1/192.0.2.1"
    with pytest.raises(ConfigurationError, match="web1 has no variable row"):
        WEB1.fill("echo %{row}")


def test_a_file_of_names_has_comments(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("# all of them\nweb[1-2]  # two\n\n@db\n")
    assert read_names(file) == "web[1-2],@db"


def test_a_file_of_groups_has_a_group_on_each_line(tmp_path: Path) -> None:
    file = tmp_path / "local.cfg"
    file.write_text("web: web[1-2]\n# more\nall2: @web,db1\nweb: web9\n")
    assert FleetSources([read_groups(file)]).names("@all2") == ["web1", "web2", "web9", "db1"]
    file.write_text("web: a\nnonsense\n")
    with pytest.raises(ConfigurationError, match=r"local.cfg line 2: it is no group"):
        read_groups(file)


@pytest.mark.parametrize(
    ("content", "why"), [(None, "can't read .*: No such file"), (b"\xff", "no text in UTF-8")]
)
def test_a_file_that_can_not_be_read_is_named(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / "hosts"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=why):
        read_names(file)


def test_hosts_of_ssh_config_are_its_names_without_wildcards(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("Host web1 web2 *.lan !no\n  Port 22\nhost=db1\nMatch host web9\nHost w?b\n")
    assert config_names("*", [str(file), str(tmp_path / "none")]) == ["web1", "web2", "db1"]
    assert config_names("web*", [str(file)]) == ["web1", "web2"]
