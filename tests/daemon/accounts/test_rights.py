"""What users may have forwarded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nacre.config.server.files import parse
from nacre.daemon.accounts.accounts import Account, Login, own_account
from nacre.daemon.accounts.rights import Forwarding
from nacre.daemon.processes.account_sockets import AccountSockets
from nacre.errors import AccountError
from nacre.keys.key_options import parse_options
from nacre.tunnels.device import TunnelDevice
from nacre.tunnels.unix import UnixSockets

OWN = own_account()
OTHER = replace(OWN, uid=OWN.uid + 1)


def rights(
    *words: str,
    key: str = "no-x11-forwarding",
    service: str = "all",
    shell: str = "/bin/sh",
    account: Account = OWN,
) -> Forwarding:
    login = Login(
        name="alice",
        account=account,
        home="/",
        shell=shell,
        service=service,
        key=parse_options(key),
        environment={},
    )
    return Forwarding(login, parse(words))


def granted(found: Forwarding) -> tuple[bool, bool, bool]:
    """Local, remote, agent."""
    return (
        found.may_connect("db", 5432),
        found.where_to_listen("localhost", 8080) is not None,
        found.agent,
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (rights(), (True, True, True)),
        (rights(service="shell"), (True, True, True)),
        (rights(service="sftp"), (False, False, False)),
        (rights(shell="/usr/sbin/nologin"), (False, False, False)),
        (rights("AllowTcpForwarding=no"), (False, False, True)),
        (rights("AllowTcpForwarding=local"), (True, False, True)),
        (rights("AllowTcpForwarding=remote"), (False, True, True)),
        (rights("AllowTcpForwarding=all"), (True, True, True)),
        (rights("AllowAgentForwarding=no"), (True, True, False)),
        (rights("DisableForwarding=yes"), (False, False, False)),
        (rights("PermitOpen=none"), (False, True, True)),
        (rights("PermitListen=none"), (True, False, True)),
        (rights(key="no-port-forwarding"), (False, False, True)),
        (rights(key="no-agent-forwarding"), (True, True, False)),
        (rights(key="restrict"), (False, False, False)),
        (rights(key="restrict,port-forwarding"), (True, True, False)),
        (rights(key='restrict,permitopen="db:5432"'), (False, False, False)),
        (rights(key='permitopen="db:5432",permitlisten="9"'), (True, False, True)),
        (rights("PermitOpen=db:1", key='permitopen="db:5432"'), (False, True, True)),
        (rights("PermitListen=8080 8081", key='permitlisten="8082"'), (True, False, True)),
        (Forwarding(None, parse([])), (False, False, False)),
    ],
)
def test_words_services_and_keys(found: Forwarding, expected: tuple[bool, bool, bool]) -> None:
    assert granted(found) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (rights("X11Forwarding=yes", key="no-pty"), True),
        (rights("X11Forwarding=yes", key="restrict,X11-forwarding"), True),
        (rights("X11Forwarding=yes"), False),
        (rights("X11Forwarding=yes", key="restrict"), False),
        (rights("X11Forwarding=yes", "DisableForwarding=yes", key="no-pty"), False),
        (rights("X11Forwarding=yes", key="no-pty", service="sftp"), False),
        (rights(key="no-pty"), False),
    ],
)
def test_displays_are_for_whom_words_and_key_allow_them(found: Forwarding, expected: bool) -> None:
    assert found.x11 is expected


@pytest.mark.parametrize(
    ("found", "mode", "unit", "opened"),
    [
        (rights("PermitTunnel=yes"), "point-to-point", 3, 3),
        (rights("PermitTunnel=yes"), "ethernet", None, None),
        (rights("PermitTunnel=ethernet"), "ethernet", 3, 3),
        (rights("PermitTunnel=point-to-point"), "ethernet", 3, "allow no such device"),
        (rights("PermitTunnel=no"), "point-to-point", 3, "allow no such device"),
        (rights(), "point-to-point", 3, "allow no such device"),
        (rights("PermitTunnel=yes", "DisableForwarding=yes"), "ethernet", 3, "allow no"),
        (rights("PermitTunnel=yes", service="sftp"), "ethernet", 3, "allow no"),
        (rights("PermitTunnel=yes", key='tunnel="7"'), "ethernet", 7, 7),
        (rights("PermitTunnel=yes", key='tunnel="7"'), "ethernet", None, 7),
        (rights("PermitTunnel=yes", key='tunnel="7"'), "ethernet", 8, "is for the device 7"),
        (rights("PermitTunnel=yes", key='tunnel="any"'), "ethernet", 8, "is for the device any"),
        (rights("PermitTunnel=yes", key='tunnel="any"'), "ethernet", None, None),
    ],
)
async def test_devices_are_opened_as_words_and_key_allow(
    found: Forwarding,
    mode: Any,
    unit: int | None,
    opened: int | str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TunnelDevice, "open", lambda mode, unit: TunnelDevice(-1, str(unit), mode))
    if isinstance(opened, str):
        with pytest.raises(AccountError, match=opened):
            await found.open_device(mode, unit)
        return
    device = await found.open_device(mode, unit)
    assert (device.name, device.mode) == (str(opened), mode)


async def test_another_accounts_device_is_opened_by_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    async def open_as(*arguments: object) -> None:
        asked.append(arguments)

    monkeypatch.setattr("nacre.daemon.accounts.rights.open_as", open_as)
    await rights("PermitTunnel=yes", account=OTHER).open_device("ethernet", 3)
    assert asked == [((OTHER.uid, OTHER.gid, OTHER.groups), "ethernet", 3)]


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("db", 5432, True),
        ("db", 5433, False),
        ("web", 1, True),
        ("::1", 80, True),
        ("other", 443, True),
        ("other", 444, False),
        ("DB", 5432, False),
        ("db.", 5432, False),
        ("db\0", 5432, False),
        ("db:5432", 5432, False),
        ("[::1]", 80, False),
        ("0:0:0:0:0:0:0:1", 80, False),
        ("*", 5432, False),
        ("", 5432, False),
        ("db", 5432 + 65536, False),
        ("db", 0, False),
    ],
)
def test_places_are_compared_as_they_were_written(host: str, port: int, expected: bool) -> None:
    word = "PermitOpen=db:5432 web:* [::1]:80 *:443"
    assert rights(word).may_connect(host, port) is expected
    options = 'permitopen="db:5432",permitopen="web:*",permitopen="[::1]:80",permitopen="*:443"'
    assert rights(key=options).may_connect(host, port) is expected


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("localhost", 8080, True),
        ("LOCALHOST", 8080, True),
        ("", 8080, True),
        ("localhost", 0, False),
        ("localhost", 8081, False),
        ("10.0.0.1", 9000, True),
        ("10.1.0.1", 9000, False),
        ("", 9000, False),
    ],
)
def test_ports_that_may_be_listened_on(host: str, port: int, expected: bool) -> None:
    found = rights("PermitListen=8080 10.0.*:9000")
    assert (found.where_to_listen(host, port) is not None) is expected


@pytest.mark.parametrize(
    ("word", "asked", "listens"),
    [
        ("no", "", "localhost"),
        ("no", "*", "localhost"),
        ("no", "192.0.2.1", "localhost"),
        ("yes", "localhost", ""),
        ("clientspecified", "localhost", "localhost"),
        ("clientspecified", "192.0.2.1", "192.0.2.1"),
        ("clientspecified", "", ""),
        ("clientspecified", "*", ""),
    ],
)
def test_gateway_ports(word: str, asked: str, listens: str) -> None:
    assert rights(f"GatewayPorts={word}").where_to_listen(asked, 8080) == listens


def test_ports_of_root_are_not_for_other_accounts() -> None:
    found = rights(account=OTHER)
    assert found.where_to_listen("localhost", 443) is None
    assert found.where_to_listen("localhost", 1024) == "localhost"
    assert found.where_to_listen("localhost", 0) == "localhost"
    assert rights().where_to_listen("localhost", 443) == "localhost"


@pytest.mark.parametrize(
    "word", ["PermitOpen=80", "PermitOpen=a:b", "PermitListen=a:0", "GatewayPorts=maybe"]
)
def test_bad_words(word: str) -> None:
    with pytest.raises(Exception, match=word.partition("=")[0]):
        parse([word])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (rights(), (True, True)),
        (rights("AllowStreamLocalForwarding=no"), (False, False)),
        (rights("AllowStreamLocalForwarding=local"), (True, False)),
        (rights("AllowStreamLocalForwarding=remote"), (False, True)),
        (rights("AllowTcpForwarding=no"), (False, False)),
        (rights("AllowTcpForwarding=local"), (True, False)),
        (rights("DisableForwarding=yes"), (False, False)),
        (rights("PermitOpen=none"), (False, True)),
        (rights("PermitOpen=db:5432 *:80"), (False, True)),
        (rights("PermitOpen=*:*"), (True, True)),
        (rights("PermitListen=none"), (True, True)),
        (rights(key="no-port-forwarding"), (False, False)),
        (rights(key='permitopen="db:5432"'), (False, True)),
        (rights(service="sftp"), (False, False)),
        (Forwarding(None, parse([])), (False, False)),
    ],
)
def test_unix_sockets(found: Forwarding, expected: tuple[bool, bool]) -> None:
    assert (found.may_connect_to("/run/s"), found.may_listen_at()) == expected


def test_another_accounts_sockets_are_made_with_its_rights() -> None:
    words = "StreamLocalBindMask=0117", "StreamLocalBindUnlink=yes"
    assert rights(*words).unix == UnixSockets(0o117, replace=True)
    other = replace(OTHER, groups=(7,))
    numbers = other.uid, other.gid, (7,)
    made = rights(*words, account=other).unix
    assert made == AccountSockets(0o117, replace=True, rights=numbers)


@pytest.mark.parametrize("asked", ["127.0.0.1", "::1"])
def test_one_address_of_the_loopback_may_always_be_chosen(asked: str) -> None:
    assert rights().where_to_listen(asked, 8080) == asked
    assert rights("GatewayPorts=yes").where_to_listen(asked, 8080) == ""
