"""``-T``: each value in the form of sshd, for one connection."""

import os
import pwd
from collections.abc import Iterable
from pathlib import Path

import pytest

from nacre.config.server.config import AS_SSHD
from nacre.config.server.dump import connecting, groups_of, server_lines
from nacre.config.server.files import load
from nacre.errors import ConfigurationError


def lines(
    text: str, folder: Path, connections: Iterable[str] = (), *, origins: bool = False
) -> list[str]:
    (folder / "c").write_text(text)
    rules = load(folder / "c", ("UseDNS=yes",), defaults=AS_SSHD)
    return list(server_lines(rules, connections, origins=origins))


def named(name: str, found: Iterable[str]) -> list[str]:
    return [line for line in found if line.partition(" ")[0] == name]


def test_values_and_defaults(tmp_path: Path) -> None:
    found = lines("Port 33\nHostKey /a\nHostKey /b\nAllowUsers a b\n", tmp_path)
    assert found[:4] == [
        "port 33",
        "addressfamily any",
        "listenaddress [::]:33",
        "listenaddress 0.0.0.0:33",
    ]
    assert named("hostkey", found) == ["hostkey /a", "hostkey /b"]
    assert named("allowusers", found) == ["allowusers a", "allowusers b"]
    assert not named("denyusers", found)
    assert not named("protocol", found)
    for line in (
        *("permitrootlogin without-password", "requiredrsasize 1024", "loglevel INFO"),
        *("maxstartups 10:30:100", "banner none", "authenticationmethods any", "rekeylimit 0 0"),
        *("persourcenetblocksize 32:128", "compression yes", "pidfile /run/sshd.pid"),
    ):
        assert line in found


def test_a_refused_word_is_printed(tmp_path: Path) -> None:
    assert "revokedkeys /r" in lines("RevokedKeys /r\n", tmp_path)


def test_addresses_and_ports(tmp_path: Path) -> None:
    text = "Port 44\nPort 45\nListenAddress 192.0.2.1\nListenAddress [2001:db8::2]:7 rdomain x\n"
    assert named("listenaddress", lines(text, tmp_path)) == [
        "listenaddress 192.0.2.1:44",
        "listenaddress 192.0.2.1:45",
        "listenaddress [2001:db8::2]:7 rdomain x",
    ]
    text = "AddressFamily inet6\nPort 44\nPort 45\n"
    assert named("listenaddress", lines(text, tmp_path)) == [
        "listenaddress [::]:44",
        "listenaddress [::]:45",
    ]
    with pytest.raises(ConfigurationError, match=r"ListenAddress: bad address or host 192.0.2.1"):
        lines("AddressFamily inet6\nListenAddress 192.0.2.1\n", tmp_path)


def test_each_value_tells_where_it_was_written(tmp_path: Path) -> None:
    found = lines(
        "\nPort 33\nMatch user bob\nMaxSessions 2\n", tmp_path, ["user=bob"], origins=True
    )
    assert f"port 33  # {tmp_path}/c line 2" in found
    assert f"maxsessions 2  # {tmp_path}/c line 4" in found
    assert "usedns yes  # command line" in found
    assert "printmotd yes  # default" in found


def test_connections(tmp_path: Path) -> None:
    text = "Match user bob address 192.0.2.0/24 host *.example localport 22\nMaxSessions 2\n"
    given = ["user=bob,addr=192.0.2.1", "host=a.example,lport=22"]
    assert "maxsessions 2" in lines(text, tmp_path, given)
    assert "maxsessions 10" in lines(text, tmp_path, ["lport=22"])
    with pytest.raises(ConfigurationError, match="give -C lport=PORT"):
        lines(text, tmp_path, ["user=bob"])


def test_what_a_specification_says() -> None:
    who = connecting(["user=a,laddr=::1,rdomain=r,invalid-user", "user=b,addr=1.2.3.4,,host=h"])
    assert (who.user, who.local_address, who.rdomain, who.invalid_user) == ("a", "::1", "r", True)
    assert (who.address, who.host()) == ("1.2.3.4", "")  # an empty part ends a specification
    for bad in ("nonsense=1", "user", "lport=x", "User=a"):
        with pytest.raises(ConfigurationError, match="-C"):
            connecting([bad])


def test_groups_are_those_of_this_system() -> None:
    name = pwd.getpwuid(os.getuid()).pw_name
    assert connecting([f"user={name}"]).groups() == groups_of(name)
    assert len(groups_of(name)) >= 1
    assert groups_of("none-such-user") == ()
