from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import ConfigurationError
from nacre.keys import PublicKey, generate
from nacre.keys.certificate import Certificate
from nacre.keys.hosts import known_hosts
from nacre.keys.hosts.known_hosts import KnownHosts, Marker, Verdict

KEY, OTHER, THIRD = (generate("ssh-ed25519").public for _ in range(3))
ECDSA = generate("ecdsa-sha2-nistp256").public


def check(text: str, host: str, key: PublicKey, port: int = 22, address: str | None = None):
    finding = KnownHosts.parse(text).check(host, port, key, address)
    return finding.verdict, finding.lines


def test_a_stranger() -> None:
    assert check("", "host", KEY) == (Verdict.UNKNOWN, ())
    assert check(f"another {KEY}\n", "host", KEY) == (Verdict.UNKNOWN, ())


def test_a_known_host() -> None:
    assert check(f"# comment\n\nhost,alias {KEY} a comment\n", "host", KEY) == (
        Verdict.TRUSTED,
        (3,),
    )
    assert check(f"host {KEY}", "HOST", KEY)[0] is Verdict.TRUSTED
    assert check(f"HOST {KEY}", "host", KEY)[0] is Verdict.TRUSTED


def test_a_changed_key_names_the_offending_lines() -> None:
    text = f"host {OTHER}\nelsewhere {KEY}\nh* {THIRD}\n"
    assert check(text, "host", KEY) == (Verdict.CHANGED, (1, 3))


def test_several_keys_of_one_host() -> None:
    assert check(f"host {OTHER}\nhost {KEY}\n", "host", KEY) == (Verdict.TRUSTED, (2,))


def test_a_key_of_another_type_is_a_changed_key() -> None:
    text = f"host {ECDSA}\nhost {KEY}\n"
    assert check(text, "host", OTHER) == (Verdict.CHANGED, (2, 1))
    assert check(f"host {KEY}\n", "host", ECDSA) == (Verdict.CHANGED, (1,))


def test_a_line_whose_key_cannot_be_used_says_nothing() -> None:
    broken = f"host ssh-ed25519 {b64encode(KEY.blob[:-1]).decode()}\n"
    assert check(broken, "host", KEY) == (Verdict.UNKNOWN, ())
    old = "host 1024 65537 " + str((1 << 1023) + 1) + "\n"
    assert check(old, "host", KEY) == (Verdict.UNKNOWN, ())


def test_ports() -> None:
    text = f"[host]:2222 {KEY}\n"
    assert check(text, "host", KEY, 2222)[0] is Verdict.TRUSTED
    assert check(text, "host", KEY, 22)[0] is Verdict.UNKNOWN
    assert check(text, "host", KEY, 2223)[0] is Verdict.UNKNOWN
    assert check(text, "host", OTHER, 2222)[0] is Verdict.CHANGED
    assert check(f"[host]:* {KEY}", "host", KEY, 4711)[0] is Verdict.TRUSTED
    assert check(f"[::1]:2222 {KEY}", "::1", KEY, 2222)[0] is Verdict.TRUSTED
    assert check(f"::1 {KEY}", "::1", KEY)[0] is Verdict.TRUSTED


def test_wildcards_and_negation() -> None:
    text = f"*.example.com,!bad.example.com {KEY}\n"
    assert check(text, "good.example.com", KEY)[0] is Verdict.TRUSTED
    assert check(text, "bad.example.com", KEY)[0] is Verdict.UNKNOWN
    assert check(text, "example.com", KEY)[0] is Verdict.UNKNOWN
    assert check(f"host? {KEY}", "host1", KEY)[0] is Verdict.TRUSTED
    assert check(f"!host {KEY}", "another", KEY)[0] is Verdict.UNKNOWN


def test_a_revoked_key_is_revoked_wherever_else_it_stands() -> None:
    text = f"host {KEY}\n@revoked * {KEY}\n"
    assert check(text, "host", KEY) == (Verdict.REVOKED, (2,))
    assert check(text, "host", KEY, 2222) == (Verdict.REVOKED, (2,))
    assert check(text, "host", OTHER) == (Verdict.CHANGED, (1,))
    assert check(f"@revoked host {KEY}\n", "host", KEY, 2222)[0] is Verdict.REVOKED
    assert check(f"@revoked host {KEY}\n", "another", KEY)[0] is Verdict.UNKNOWN


def test_an_address_counts_for_revocation_only() -> None:
    assert check(f"@revoked 10.0.0.1 {KEY}\n", "host", KEY, 22, "10.0.0.1")[0] is Verdict.REVOKED
    assert check(f"10.0.0.1 {KEY}\n", "host", KEY, 22, "10.0.0.1")[0] is Verdict.UNKNOWN
    assert check(f"10.0.0.1 {KEY}\n", "host", OTHER, 22, "10.0.0.1")[0] is Verdict.UNKNOWN


def test_a_certificate_authority_is_no_host_key() -> None:
    text = f"@cert-authority host {KEY}\n"
    known = KnownHosts.parse(text)
    assert [entry.marker for entry in known.lookup("host")] == [Marker.CERT_AUTHORITY]
    assert check(text, "host", KEY)[0] is Verdict.UNKNOWN
    assert check(text, "host", OTHER)[0] is Verdict.UNKNOWN
    assert known.key_types("host") == ()
    assert known.has_authority("host")
    assert not known.has_authority("other")


def test_a_certificate_is_looked_up_by_its_authority() -> None:
    authority = generate("ssh-ed25519")
    certificate = Certificate.issue(KEY, authority, kind="host")
    text = f"host {OTHER}\n@cert-authority h* {authority.public}\nother {KEY}\n"
    assert check(text, "host", certificate) == (Verdict.TRUSTED, (2,))
    assert check(text, "other", certificate) == (Verdict.UNKNOWN, ())
    for revoked in (KEY, authority.public, certificate):
        assert check(f"{text}@revoked * {revoked}", "host", certificate) == (Verdict.REVOKED, (4,))


def test_the_lines_with_a_key() -> None:
    text = f"a,b {KEY} x\n@revoked * {KEY}\nc {OTHER} {str(KEY).split()[1]}\nd {KEY}"
    known = KnownHosts.parse(text)
    assert [entry.line_number for entry in known.with_key(KEY)] == [1, 4]
    assert known.with_key(ECDSA) == ()


def test_lookup_takes_lines_of_the_name_and_of_the_address() -> None:
    known = KnownHosts.parse(f"host {KEY}\n[10.0.0.1]:22 {KEY}\n10.0.0.1 {OTHER}\n")
    assert [e.line_number for e in known.lookup("host", 22, "10.0.0.1")] == [1, 3]
    assert [e.line_number for e in known.lookup("host")] == [1]


def test_key_types_come_in_the_order_of_the_file() -> None:
    known = KnownHosts.parse(f"h {ECDSA}\nh {KEY}\nh {OTHER}\n@revoked h {THIRD}\nother {KEY}\n")
    assert known.key_types("h") == (ECDSA.type, KEY.type)
    assert known.key_types("h", 2222) == ()
    assert known.key_types("elsewhere") == ()


def test_a_key_of_a_type_that_nacre_does_not_have_is_kept() -> None:
    name = "ssh-new@example.com"
    blob = b64encode(len(name).to_bytes(4, "big") + name.encode()).decode()
    known = KnownHosts.parse(f"host {name} {blob}\n")
    assert known.rejected == []
    assert known.key_types("host") == (name,)
    assert known.check("host", 22, KEY).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "line",
    [
        "host",
        "host ssh-ed25519",
        "host ssh-ed25519 !!",
        "host ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "@unknown host ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "@revoked",
        "|1|broken|hash ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "|1||| ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "host 1024 65537 1234567890",
    ],
)
def test_a_broken_line_is_counted_and_hides_no_other(line: str) -> None:
    known = KnownHosts.parse(f"{line}\nhost {KEY}\n")
    assert [number for number, _ in known.rejected] == [1]
    assert known.check("host", 22, KEY).verdict is Verdict.TRUSTED


@given(st.text(st.sampled_from("@|1*!,? \t\n#=Ass-hrevoked\x00\u2028é"), max_size=200))
def test_no_text_makes_it_raise(text: str) -> None:
    known = KnownHosts.parse(text)
    known.check("host", 22, KEY, "::1")
    assert len(known.entries) + len(known.rejected) <= text.count("\n") + 1
    KnownHosts.parse(text.encode())


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("port", [22, 2222])
@pytest.mark.parametrize("host", ["host.example.com", "::1", "10.0.0.1", "MiXed"])
def test_ssh_keygen_finds_the_lines_made_here(
    host: str, port: int, hashed: bool, keygen, tmp_path: Path
) -> None:
    line = KnownHosts.line_for(host, port, KEY, hashed=hashed)
    assert (host.lower() in line) is not hashed
    file = tmp_path / "known_hosts"
    file.write_text(f"{KnownHosts.line_for('x', 22, OTHER, hashed=hashed)}\n{line}\n")
    name = host.lower() if port == 22 else f"[{host.lower()}]:{port}"
    assert f"Host {name} found: line 2" in keygen("-F", name, "-f", file)
    assert KnownHosts.parse(file.read_bytes()).check(host, port, KEY).lines == (2,)


def test_a_file_that_ssh_keygen_hashed(keygen, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"one,10.0.0.1 {KEY}\n[two]:2222 {OTHER}\n")
    keygen("-H", "-f", file)
    text = file.read_text()
    assert "|1|" in text
    assert "one" not in text
    assert check(text, "one", KEY)[0] is Verdict.TRUSTED
    assert check(text, "10.0.0.1", OTHER)[0] is Verdict.CHANGED
    assert check(text, "two", OTHER, 2222)[0] is Verdict.TRUSTED
    assert check(text, "two", KEY)[0] is Verdict.UNKNOWN


def test_a_salt_comes_from_outside() -> None:
    lines = {
        KnownHosts.line_for("host", 22, KEY, hashed=True, random=bytes([o]).__mul__)
        for o in (1, 1, 2)
    }
    assert len(lines) == 2


@pytest.mark.parametrize(
    "host", ["", "a b", "a,b", "*", "!a", "a\nb", "|1|x", "@revoked", "#", "a\x1b"]
)
def test_a_name_that_would_mean_something_else_is_not_written(host: str) -> None:
    with pytest.raises(ConfigurationError):
        KnownHosts.line_for(host, 22, KEY)


# --- the search in the raw text ---

HASHED = KnownHosts.line_for("host", 22, KEY, hashed=True)


@pytest.mark.parametrize(
    "line",
    [
        f"host {KEY}",
        f"  host {KEY}",
        f"host\t{KEY}",
        f"HoSt {KEY}\r",
        f"a,host,b {KEY}",
        f"a,HOST {KEY}",
        f"*st {KEY}",
        f"h?st {KEY}",
        f"@revoked host {KEY}",
        f"@revoked\t host {KEY}",
        HASHED,
        f"@revoked {HASHED}",
    ],
    ids=range(12),
)
def test_a_line_is_found_wherever_it_stands(line: str) -> None:
    others = f"hosts {OTHER}\nghost {OTHER} host\n# host {OTHER}\nother {KEY}\n!host,* {OTHER}\n"
    for text in (f"{line}\n{others}", f"{others}{line}\n", f"{others}{line}"):
        known = KnownHosts.parse(text)
        (entry,) = known.lookup("host")
        assert entry.blob == KEY.blob
        assert text.split("\n")[entry.line_number - 1] == line
        assert known.lookup("host") == [e for e in known.entries if e.matches("host")]


def test_names_that_are_not_ascii_are_found_in_any_case() -> None:
    known = KnownHosts.parse(f"M\u00dcNCHEN.example {KEY}\n")
    assert [entry.line_number for entry in known.lookup("m\u00fcnchen.example")] == [1]


_NAMES = st.sampled_from(["host", "HOST", "a", "[host]:2222", "10.0.0.1", "*", "h*", "!host", "?"])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "@revoked ", "@cert-authority ", "# "]),
            st.lists(_NAMES, min_size=1, max_size=3),
            st.sampled_from([KEY, OTHER]),
        ),
        max_size=6,
    ),
    st.sampled_from(["host", "a", "[host]:2222", "10.0.0.1"]),
)
def test_the_search_finds_what_reading_every_line_finds(lines, name: str) -> None:
    text = "".join(f"{mark}{','.join(names)} {key}\n" for mark, names, key in lines)
    known = KnownHosts.parse(text)
    assert list(known.about(name)) == [entry for entry in known.entries if entry.matches(name)]


def test_a_search_parses_the_lines_of_its_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    real = known_hosts._parse_line

    def parse_line(number, raw):
        parsed.append(number)
        return real(number, raw)

    lines = [f"host{i} {OTHER}\n" for i in range(500)]
    lines += [f"{KnownHosts.line_for(f'hidden{i}', 22, OTHER, hashed=True)}\n" for i in range(500)]
    monkeypatch.setattr(known_hosts, "_parse_line", parse_line)
    known = KnownHosts.parse("".join(lines))
    for name, number in (("host7", 8), ("hidden7", 508)):
        assert known.check(name, 22, OTHER, "10.0.0.1").lines == (number,)
        assert known.key_types(name) == (OTHER.type,)
    assert parsed == [8, 508]
