from __future__ import annotations

from typing import Any

import pytest

from nacre.errors import UnusableKey
from nacre.keys import generate
from nacre.keys.authorized_keys import parse
from nacre.keys.certificate import Certificate, option
from nacre.keys.key_options import NO_OPTIONS, KeyOptions, parse_options
from nacre.keys.shown import ShownKey, certificate_options, find_principal
from nacre.wire.codec import string

CA, OTHER_CA, KEY = (generate("ssh-ed25519") for _ in range(3))
NOW = 1_000_000.0


def issued(**fields: Any) -> Certificate:
    chosen: dict[str, Any] = {"principals": ["alice", "web"], "random": bytes, **fields}
    return Certificate.issue(KEY.public, CA, **chosen)


def shown(certificate: Certificate, user: str = "alice", **fields: Any) -> ShownKey:
    chosen: dict[str, Any] = {"address": "192.0.2.1", "now": NOW, **fields}
    return ShownKey(key=certificate, user=user, **chosen)


# --- what a certificate permits ---


def test_a_certificate_permits_what_its_extensions_say_and_no_more() -> None:
    assert certificate_options(issued(extensions={})) == parse_options("restrict")
    usual = certificate_options(issued())
    assert usual == NO_OPTIONS
    some = certificate_options(issued(extensions={"permit-pty": b"", "no-touch-required": b""}))
    assert some == parse_options("restrict,pty,no-touch-required")
    assert certificate_options(issued(extensions={"new@example.com": b"x"})) == parse_options(
        "restrict"
    )


def test_critical_options() -> None:
    options = {
        "force-command": option("ls"),
        "source-address": option("192.0.2.0/24,2001:db8::1"),
        "verify-required": b"",
    }
    found = certificate_options(issued(critical_options=options))
    assert found.command == "ls"
    assert found.verify_required
    for address, refused in {
        "192.0.2.7": False,
        "::ffff:192.0.2.7": False,
        "2001:db8::1": False,
        "192.0.3.1": True,
        "": True,
    }.items():
        assert (found.refusal(address=address) is not None) is refused, address


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"critical_options": {"new": b""}}, "critical option new is not known"),
        ({"critical_options": {"force-command": b"ls"}}, "force-command is damaged"),
        ({"critical_options": {"force-command": option("a") + b"b"}}, "force-command is damaged"),
        ({"critical_options": {"verify-required": b"x"}}, "verify-required is damaged"),
        ({"critical_options": {"source-address": option("")}}, "source-address is damaged"),
        ({"critical_options": {"source-address": option("10.0.0.1/8")}}, "is damaged"),
        ({"critical_options": {"source-address": option("10.0.0.0/255.0.0.0")}}, "is damaged"),
        ({"critical_options": {"source-address": option("host")}}, "is damaged"),
        ({"critical_options": {"source-address": option("!10.0.0.0/8")}}, "is damaged"),
        ({"critical_options": {"force-command": string(b"\xff")}}, None),
        ({"extensions": {"permit-pty": string(b"")}}, "permit-pty is damaged"),
    ],
    ids=str,
)
def test_options_that_can_not_be_taken_refuse(fields: dict[str, Any], says: str | None) -> None:
    if says is None:
        assert certificate_options(issued(**fields)).command == "\udcff"
        return
    with pytest.raises(UnusableKey, match=says):
        certificate_options(issued(**fields))


# --- by a line of authorized_keys ---


def by_line(options: str, certificate: Certificate, **fields: Any) -> KeyOptions:
    return shown(certificate, **fields).by_line(parse_options(options))


def test_a_line_with_cert_authority_is_for_certificates_and_others_for_keys() -> None:
    certificate = issued()
    keys = parse(f"{CA.public}\ncert-authority {KEY.public}\ncert-authority {CA.public}\n")
    found = keys.admits(shown(certificate))
    assert found is not None
    assert found.line_number == 3
    assert keys.find(KEY.public, now=NOW) is None
    assert parse(f"{CA.public}\n{KEY.public}\n").admits(shown(certificate)) is None


@pytest.mark.parametrize(
    ("line", "fields", "user", "says"),
    [
        ("cert-authority", {}, "alice", None),
        ("cert-authority", {}, "bob", "not among"),
        ("cert-authority", {"principals": []}, "bob", None),
        ('cert-authority,principals="web,x"', {}, "bob", None),
        ('cert-authority,principals="x"', {}, "alice", "principals="),
        ('cert-authority,principals="alice"', {"principals": []}, "alice", "principals="),
        ('cert-authority,principals="a,b"', {"principals": ["a,b"]}, "alice", "principals="),
        ("cert-authority", {"valid_before": int(NOW)}, "alice", "expired"),
        ("cert-authority", {"valid_after": int(NOW) + 1}, "alice", "not yet valid"),
        ("cert-authority", {"kind": "host"}, "alice", "not a user's"),
        ('cert-authority,expiry-time="19700101Z"', {}, "alice", "the key has expired"),
        ('cert-authority,from="10.0.0.0/8"', {}, "alice", "address"),
        ("cert-authority", {"critical_options": {"x": b""}}, "alice", "not known"),
        (
            "cert-authority",
            {"critical_options": {"source-address": option("10.0.0.0/8")}},
            "alice",
            "address",
        ),
        (
            'cert-authority,command="one"',
            {"critical_options": {"force-command": option("two")}},
            "alice",
            "differ",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_conditions_of_a_line_and_of_a_certificate(
    line: str, fields: dict[str, Any], user: str, says: str | None
) -> None:
    certificate = issued(**fields)
    if says is None:
        by_line(line, certificate, user=user)
        return
    with pytest.raises(UnusableKey, match=says):
        by_line(line, certificate, user=user)


def test_a_line_and_a_certificate_permit_what_both_do() -> None:
    certificate = issued(
        extensions={"permit-pty": b"", "permit-user-rc": b"", "no-touch-required": b""},
        critical_options={"force-command": option("ls")},
    )
    found = by_line('cert-authority,no-pty,permitopen="db:1",environment="A=1"', certificate)
    assert (found.pty, found.user_rc, found.port_forwarding) == (False, True, False)
    assert (found.command, found.environment) == ("ls", (("A", "1"),))
    assert found.permit_open == (("db", 1),)
    assert found.touch_required
    assert not by_line("cert-authority,no-touch-required", certificate).touch_required
    assert by_line("cert-authority,verify-required", certificate).verify_required


def test_principals_are_for_authorities_alone() -> None:
    key = ShownKey(key=KEY.public, now=NOW)
    with pytest.raises(UnusableKey, match="cert-authority"):
        key.by_line(parse_options('principals="alice"'))


def test_without_a_time_no_certificate_is_valid() -> None:
    with pytest.raises(UnusableKey, match="not known"):
        shown(issued(), now=None).by_line(parse_options("cert-authority"))


def test_the_next_line_counts_where_the_first_refuses_and_each_refusal_is_reported() -> None:
    told: list[tuple[int, str]] = []
    keys = parse(
        f'cert-authority,principals="x" {CA.public}\n'
        f"cert-authority,nonsense {CA.public}\n"
        f"cert-authority {OTHER_CA.public}\n"
        f'cert-authority,command="this" {CA.public}\n'
    )
    found = keys.admits(shown(issued()), lambda number, reason: told.append((number, reason)))
    assert found is not None
    assert found.options.command == "this"
    assert [number for number, _ in told] == [1, 2]
    assert "nonsense is unknown" in told[1][1]


# --- by a trusted authority ---


@pytest.mark.parametrize(
    ("user", "fields", "named", "says"),
    [
        ("alice", {}, None, None),
        ("bob", {}, None, "not among"),
        ("bob", {}, "", None),
        ("alice", {"principals": []}, None, "no principals"),
        ("alice", {"principals": []}, "", "no principals"),
        ("alice", {"valid_before": 5}, "", "expired"),
        ("alice", {}, "cert-authority", "not for principals"),
        ("alice", {}, 'from="10.0.0.0/8"', "address"),
    ],
)
def test_a_trusted_authority(
    user: str, fields: dict[str, Any], named: str | None, says: str | None
) -> None:
    one = shown(issued(**fields), user)
    options = None if named is None else parse_options(named) if named else NO_OPTIONS
    if says is None:
        assert one.by_authority(options) == NO_OPTIONS
        return
    with pytest.raises(UnusableKey, match=says):
        one.by_authority(options)


def test_a_plain_key_has_no_authority() -> None:
    with pytest.raises(UnusableKey, match="not a certificate"):
        ShownKey(key=KEY.public, user="alice", now=NOW).by_authority()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("alice", ""),
        ("  web  # a comment\n", ""),
        ("# alice\nal\nalice2\nALICE\n", None),
        ("x\r\nweb\r\n", ""),
        ('no-pty,command="a b" web', 'no-pty,command="a b"'),
        ("no-pty\tweb\nalice", "no-pty"),
        ("nonsense alice\nno-pty alice", "no-pty"),
        ("alice web extra", None),
        ('command="#" alice', None),
        ("", None),
        ("\n\n \n", None),
    ],
)
def test_principals_of_a_file(text: str, found: str | None) -> None:
    told: list[int] = []
    options = find_principal(text.encode(), issued(), lambda number, _: told.append(number))
    assert options == (None if found is None else parse_options(found) if found else NO_OPTIONS)
    assert told == ([1] if text.startswith("nonsense") else [])


def test_an_empty_principal_is_no_name_of_an_empty_line() -> None:
    assert find_principal(b"\n\n", issued(principals=[])) is None
