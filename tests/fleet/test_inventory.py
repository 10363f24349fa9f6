"""Inventories of Ansible."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.errors import ConfigurationError
from nacre.fleet.hosts import FleetHost, FleetSources
from nacre.fleet.inventory import ranges, read_inventory

INI = """\
# a comment
lone ansible_host=192.0.2.9
[web]
web[01:02].lan ansible_port=2222 rack="r 1"  # two of them
[db]
db-[a:b] ansible_user=postgres
[site:children]
web
db
[site:vars]
zone = north
tier=site
[web:vars]
tier=front
[all:vars]
zone=any
owner=ops
"""

YAML = """\
all:
  vars: {zone: any, owner: ops}
  hosts:
    lone: {ansible_host: 192.0.2.9}
  children:
    site:
      vars: {zone: north, tier: site}
      children:
        web:
          vars: {tier: front, nested: {left: out}}
          hosts:
            web[01:02].lan: {ansible_port: 2222, rack: r 1}
        db:
          hosts:
            db-[a:b]: {ansible_user: postgres}
"""


@pytest.mark.parametrize(("name", "text"), [("hosts", INI), ("hosts.ini", INI), ("h.yml", YAML)])
def test_both_forms_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_inventory(tmp_path / name)
    sources = FleetSources([found])
    assert sources.names("@site") == ["web01.lan", "web02.lan", "db-a", "db-b"]
    assert sources.names("@all") == ["lone", "web01.lan", "web02.lan", "db-a", "db-b"]
    both = {"owner": "ops", "zone": "north"}
    assert sources.select(["web02.lan,db-a,lone"]) == [
        FleetHost("web02.lan", "web02.lan", 2222, None, {**both, "tier": "front", "rack": "r 1"}),
        FleetHost("db-a", "db-a", None, "postgres", {**both, "tier": "site"}),
        FleetHost("lone", "192.0.2.9", None, None, {"owner": "ops", "zone": "any"}),
    ]


def test_ranges_have_steps_and_letters() -> None:
    assert list(ranges("a[1:5:2]b[x:y]")) == ["a1bx", "a1by", "a3bx", "a3by", "a5bx", "a5by"]
    with pytest.raises(ConfigurationError, match="more than 100,000"):
        list(ranges("a[1:99999999]"))
    with pytest.raises(ConfigurationError, match="no range"):
        list(ranges("a[1:x]"))


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("i", "[web]\nweb1 rack\n", "line 2: 'rack' is no variable"),
        ("i", "web1 'x\n", "line 1: No closing quotation"),
        ("i", "web1 ansible_port=many\n", "'many' is no number"),
        ("i", "web1 ansible_port=99999\n", "ansible_port"),
        ("i", "[a:children]\nb\n", "a child b, which is not defined"),
        ("i", "[a:children]\na\n", "has itself as a part"),
        ("i.yml", "- web1\n", "it should be a mapping"),
        ("i.yml", "all: {host: {}}\n", "the group all has host"),
        ("i.yml", "a: [\n", "it is no YAML"),
    ],
)
def test_what_can_not_be_understood_is_an_error_with_its_place(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        read_inventory(tmp_path / name)
