"""Lines of known hosts as they are written. What ssh-keygen makes of them: tests/interop."""

from __future__ import annotations

import pytest

from nacre.keys.hosts.known_hosts import Marker, hash_name
from nacre.keys.hosts.lines import HostLine, host_lines, joined, lines_about

KEY = "ssh-ed25519 AAAA"
CERTIFIED = "ssh-ed25519-cert-v01@openssh.com"
SALT = bytes(20)


def line(text: str) -> HostLine:
    (found,) = host_lines(text.encode())
    return found


@pytest.mark.parametrize(
    ("text", "marker", "hosts", "key"),
    [
        (f"h,i {KEY} me", Marker.NONE, "h,i", f"{KEY} me"),
        (f" h \t {KEY}", Marker.NONE, "h", KEY),
        (f"@revoked h {KEY}", Marker.REVOKED, "h", KEY),
        ("@cert-authority\th\tssh-rsa\tx", Marker.CERT_AUTHORITY, "h", "ssh-rsa\tx"),
        ("h 1024 35 7", Marker.NONE, "h", "1024 35 7"),
        (f"h {CERTIFIED} x", Marker.NONE, "h", f"{CERTIFIED} x"),
        (f"@other h {KEY}", Marker.NONE, "", None),
        ("h", Marker.NONE, "h", None),
        ("h ssh-ed25519", Marker.NONE, "h", None),
        ("h ssh-ed25519 # x", Marker.NONE, "h", None),
        ("h unknown x", Marker.NONE, "h", None),
    ],
)
def test_parts_of_a_line(text: str, marker: Marker, hosts: str, key: str | None) -> None:
    found = line(text)
    assert (found.marker, found.hosts, found.key) == (marker, hosts, key)
    assert found.bad is (key is None)
    assert not found.comment


@pytest.mark.parametrize("text", ["# x", "", "  ", "\t# h x"])
def test_comments(text: str) -> None:
    found = line(f"{text}\n")
    assert (found.comment, found.bad, found.key) == (True, False, None)
    assert found.with_hashes() == [text]


@pytest.mark.parametrize(
    ("hosts", "name", "matches"),
    [
        ("h,i", "H", True),
        ("h,i", "j", False),
        ("*.org,!a.org", "b.org", True),
        ("*.org,!a.org", "a.org", False),
        ("h,,", "", False),
        (hash_name("h", SALT), "h", True),
        (hash_name("h", SALT), "H", False),
        ("|1|AAAA|AAAA", "h", False),
        ("|2|x", "|2|x", False),
    ],
)
def test_matches(hosts: str, name: str, matches: bool) -> None:
    found = line(f"{hosts} {KEY}")
    assert found.matches(name) is matches
    assert found.damaged is (hosts in ("|1|AAAA|AAAA", "|2|x"))


def test_each_name_is_hashed() -> None:
    ours = line(f"H,[i]:22,, {KEY} me").with_hashes(lambda size: SALT[:size])
    assert ours == [f"{hash_name(name, SALT)} {KEY} me" for name in ("h", "[i]:22")]


@pytest.mark.parametrize(
    "text", [f"@revoked h {KEY}", f"*.org {KEY}", f"{hash_name('h', SALT)} {KEY}", "bad"]
)
def test_what_is_not_hashed(text: str) -> None:
    assert line(text).with_hashes() == [text]


@pytest.mark.parametrize("content", [b"", b"a\n", b"a\r\n\n b\xe9\n"])
def test_lines_are_joined_as_they_were(content: bytes) -> None:
    assert joined([one.text for one in host_lines(content)]) == content
    assert [one.number for one in host_lines(b"a\nb")] == [1, 2]


HASHED = hash_name("host", SALT)
ODDITIES = [
    "",
    "# host",
    f"other {KEY} host, host",
    f"host {KEY}",
    f"\t@revoked HOST,other\t{KEY}",
    f"other,host {KEY} \xff",
    f"{HASHED} {KEY}",
    f"{hash_name('other', SALT)} {KEY}",
    f"{HASHED} {KEY} the same once more",
    f"{hash_name('Host', SALT)} {KEY}",
    f"h*t {KEY}",
    f"host?,!host {KEY}",
    f"[host]:2222 {KEY}",
    "host",
    f"h\xf6st {KEY}",
    f"host {KEY}",
]


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("name", ["host", "Host", "[host]:2222", "h\xf6st", "none"])
def test_the_lines_about_a_host_are_among_those_that_are_parsed(name: str, end: str) -> None:
    content = ("\n".join(ODDITIES) + end).encode("latin-1")
    about = [line for line in host_lines(content) if line.key is not None and line.matches(name)]
    found = [line for line in lines_about(content, name) if line in about]
    assert found == about
