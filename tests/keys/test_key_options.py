from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys.key_options import NO_OPTIONS, KeyOptions, parse_options

PERMISSIONS = ("pty", "user_rc", "port_forwarding", "agent_forwarding", "x11_forwarding")


def allowed(text: str) -> set[str]:
    options = parse_options(text)
    return {name for name in PERMISSIONS if getattr(options, name)}


def test_permissions() -> None:
    everything = set(PERMISSIONS)
    assert {name for name in PERMISSIONS if getattr(NO_OPTIONS, name)} == everything
    for name in PERMISSIONS:
        assert allowed("no-" + name.replace("_", "-")) == everything - {name}
        assert allowed("restrict," + name.replace("_", "-")) == {name}
    assert allowed("restrict") == set()
    assert allowed("pty,restrict") == set()


def test_names_have_no_case() -> None:
    assert allowed("RESTRICT,X11-Forwarding") == {"x11_forwarding"}
    assert parse_options('Command="Ls"').command == "Ls"


@pytest.mark.parametrize("text", [",no-pty", "no-pty,", ",,no-pty,,no-pty,,"])
def test_needless_commas_are_ignored(text: str) -> None:
    assert parse_options(text) == parse_options("no-pty")


def test_of_several_times_the_first_one_counts_and_of_several_devices_the_last() -> None:
    options = parse_options(
        'expiry-time="20300101Z",expiry-time="20290101Z",expiry-time="20310101Z",'
        'tunnel="0",tunnel="any"'
    )
    assert options == parse_options('expiry-time="20290101Z",tunnel="any"')


def test_two_options_permit_what_both_do() -> None:
    one = parse_options('no-pty,no-touch-required,expiry-time="20300101Z",permitopen="a:1"')
    two = parse_options('no-user-rc,verify-required,permitopen="b:1",command="x"')
    both = parse_options(
        'no-pty,no-user-rc,verify-required,expiry-time="20300101Z",permitopen="a:1",command="x"'
    )
    assert one.and_also(two) == both
    assert two.and_also(one).permit_open == (("b", 1),)
    with pytest.raises(UnusableKey, match="differ"):
        two.and_also(parse_options('command="y"'))


def test_values() -> None:
    options = parse_options(
        'command="run \\"this\\", now",environment="A=1",environment="B=x=y",environment="A=2",'
        'permitopen="db:5432",permitopen="[::1]:*",permitlisten="8080",permitlisten="*:80",'
        'tunnel="0",principals="a,b",cert-authority,no-touch-required,verify-required'
    )
    assert options == KeyOptions(
        command='run "this", now',
        environment=(("A", "1"), ("B", "x=y")),
        permit_open=(("db", 5432), ("::1", None)),
        permit_listen=(("*", 8080), ("*", 80)),
        tunnel="0",
        principals=("a", "b"),
        cert_authority=True,
        touch_required=False,
        verify_required=True,
    )


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ('permitopen="h:http"', ("h", 80)),
        ('permitopen="h/80"', ("h", 80)),
        ('permitopen=":80"', ("", 80)),
        ('permitopen="[::1]/*"', ("::1", None)),
        ('permitopen="[]:http"', ("", 80)),
        ('permitopen="h]:+080"', ("h]", 80)),
        ('permitlisten="http"', ("*", 80)),
        ('permitlisten="*"', ("*", None)),
        ('permitlisten=":*"', ("", None)),
        ('permitopen="*"', None),
        ('permitopen="http"', None),
        ('permitopen="h:other"', None),
        ('permitopen="h:"', None),
        ('permitopen="h:0"', None),
        ('permitopen="h:http:80"', None),
        ('permitopen="[h:80"', None),
        ('permitopen="[[::1]]:80"', None),
        ('permitopen="[h]80"', None),
        (f'permitopen="{"h" * 1025}:80"', None),
        ('permitlisten="h/80"', None),
        ('permitlisten="[::1]"', None),
        ('permitlisten=""', None),
    ],
)
def test_places_are_written_as_for_sshd(option: str, place: tuple[str, int | None] | None) -> None:
    services = {"http": 80}.get
    if place is None:
        with pytest.raises(KeyFormatError, match="not a host and a port"):
            parse_options(option, services)
    else:
        found = parse_options(option, services)
        assert (*found.permit_open, *found.permit_listen) == (place,)


def test_a_backslash_escapes_a_quote_and_nothing_else() -> None:
    assert parse_options(r'command="a\\b\n\""').command == 'a\\\\b\\n"'
    assert parse_options('command=""').command == ""


@pytest.mark.parametrize(
    "text",
    [
        "no-restrict",
        'restrict="yes"',
        "command",
        "command=",
        'command="a"b',
        'command="a\\"',
        'command="a",command="b"',
        'from="a",from="b"',
        'from=""',
        'from="a,,b"',
        'from="!"',
        'from="10.0.0.1/8"',
        'environment="=1"',
        'environment="A"',
        'environment="A B=1"',
        'expiry-time="tomorrow"',
        'expiry-time="2030"',
        'expiry-time="20301301"',
        'expiry-time="２０３００１０１"',
        'permitopen="host"',
        'permitopen="8080"',
        'permitopen="host:0"',
        'permitopen="host:65536"',
        'permitopen="::1:80"',
        'permitlisten="host:http"',
        'tunnel="x"',
        'principals=""',
        "pty restrict",
    ],
)
def test_what_is_unknown_malformed_or_given_twice(text: str) -> None:
    with pytest.raises(KeyFormatError):
        parse_options(text)


FROM = [
    ("10.0.0.0/8", "10.1.2.3", None, True),
    ("10.0.0.0/8", "11.1.2.3", None, False),
    ("10.0.0.0/8", "::ffff:10.1.2.3", None, True),
    ("10.0.0.0/8,!10.1.0.0/16", "10.1.2.3", None, False),
    ("!10.1.0.0/16,10.0.0.0/8", "10.2.2.3", None, True),
    ("!10.1.0.0/16", "10.2.2.3", None, False),
    ("10.1.2.3", "10.1.2.3", None, True),
    ("10.1.2.*", "10.1.2.3", None, True),
    ("10.1.2.?", "10.1.2.33", None, False),
    ("2001:DB8::/32", "2001:db8::1", None, True),
    ("2001:DB8:0::1", "2001:db8::1", None, True),
    ("2001:db8::/32", "10.1.2.3", None, False),
    ("fe80::/10", "fe80::1%eth0", None, True),
    ("*.example.com", "10.1.2.3", "a.EXAMPLE.com", True),
    ("*.Example.com", "10.1.2.3", "a.example.com", True),
    ("*.example.com", "10.1.2.3", None, False),
    ("*,!*.example.com", "10.1.2.3", "a.example.com", False),
    ("*", "10.1.2.3", None, True),
    ("*", None, None, False),
    ("*", "not an address", None, False),
]


@pytest.mark.parametrize(("patterns", "address", "host", "expected"), FROM)
def test_from(patterns: str, address: str | None, host: str | None, expected: bool) -> None:
    options = parse_options(f'from="{patterns}"')
    refusal = options.refusal(address=address, host=host, now=0)
    assert refusal == (None if expected else "the key may not be used from this address")


def moment(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0
) -> float:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "expires"),
    [
        ("20300102Z", moment(2030, 1, 2)),
        ("203001020304Z", moment(2030, 1, 2, 3, 4)),
        ("20300102030405Z", moment(2030, 1, 2, 3, 4, 5)),
        ("20300102UTC", moment(2030, 1, 2)),
    ],
)
def test_expiry(text: str, expires: float) -> None:
    options = parse_options(f'expiry-time="{text}"')
    assert options.expires == expires
    assert options.refusal(now=expires) is None
    assert options.refusal(now=expires + 1) == "the key has expired"
    assert options.refusal() == "the key has expired"


def test_expiry_without_a_z_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    try:
        options = parse_options('expiry-time="20300102"')
    finally:
        monkeypatch.undo()
        time.tzset()
    assert options.expires == moment(2030, 1, 2, 5)


def test_without_conditions_nothing_is_refused() -> None:
    assert NO_OPTIONS.refusal() is None
