"""``-F``, ``-R`` and ``-H`` of ``nacre keygen`` and of ssh-keygen, side by side on odd files."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.keygen.programs import Done, Keygen, keygen_without_terminal
from interop.config_cases.programs import version_of
from interop.programs import require, run
from nacre.keys.hosts.known_hosts import SALT_SIZE, KnownHosts, hash_name

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDvP/XS9lWLy40nJHkyFS5FlrgGCl9ZoBehhqtp+/dsb"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjUa6iTwYzuijYMJrVzxobNBd2T9zeP2+aC239wnVcW"
RSA = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCiJuAZSYkXgVSHdi3FZFLD0uxCWSMy3CJhU0kOMTP5sc46o1xlNRs190"
    "TS9e9Rxua6JkdCbeQtc0fK+xQIHZUdlt20bwPuZAFS2EOzptDYeT3pje2z2chlCUZ4eoOakii+5trcOxzKQHDBZprjGIbq"
    "TStnKQw3qbJQuYrVYIYkTQ=="
)
SALT = bytes(range(SALT_SIZE))


def hashed(name: str) -> str:
    return hash_name(name, SALT)


FILES: dict[str, str | bytes] = {
    "plain": f"h {KEY}\ni {OTHER}\n",
    "comments": f"# first\n\nh {KEY} of h\n   # indented\n\t\n i {OTHER} of i\n# last\n",
    "several keys": f"h {KEY}\nh {RSA}\ni {KEY}\nh {OTHER} third\n",
    "several names": f"h,i,192.0.2.1 {KEY}\nj,h {OTHER}\n",
    "duplicates": f"h {KEY}\n" * 3 + f"i {OTHER}\n" * 2,
    "hashed": f"{hashed('h')} {KEY}\n{hashed('i')} {OTHER} comment\n",
    "hashed and plain": f"h {KEY}\n{hashed('h')} {OTHER}\n{hashed('[h]:2222')} {KEY}\n",
    "hashed port": f"{hashed('[h]:2222')} {KEY}\n{hashed('[i]:22')} {OTHER}\n",
    "hash of capitals": f"{hashed('H')} {KEY}\n",
    "ports": f"[h]:2222 {KEY}\nh {OTHER}\n[h]:22 {RSA}\n",
    "IPv6": f"2001:db8::1,::1 {KEY}\n[2001:db8::1]:2222 {OTHER}\nfe80::1%eth0 {RSA}\n",
    "patterns": f"*.example.org {KEY}\nh? {OTHER}\n* {RSA}\n",
    "patterns among names": f"h,*.example.org,i {KEY}\nhost?,h {OTHER}\n",
    "negations": f"!h,* {KEY}\n*,!i {OTHER}\n!h {RSA}\nh,!h {KEY}\n",
    "patterns of ports": f"[*.example.org]:* {KEY}\n[h]:?? {OTHER}\n",
    "authority": f"@cert-authority h {KEY} ca\n@cert-authority *.example.org {OTHER}\nh {RSA}\n",
    "revoked": f"@revoked h {KEY}\n@revoked * {OTHER}\nh {RSA}\n",
    "blanks before a marker": f"  @revoked   h   {KEY}\n\t@cert-authority i {OTHER}\nh {RSA}\n",
    "hashed authority": f"@cert-authority {hashed('h')} {KEY}\n@revoked {hashed('i')} {OTHER}\n",
    "tab behind a marker": f"@revoked\th {KEY}\n",
    "unknown marker": f"@foo h {KEY}\nh {OTHER}\n",
    "two markers": f"@revoked @cert-authority h {KEY}\nh {OTHER}\n",
    "marker alone": f"@revoked\nh {OTHER}\n",
    "CRLF": f"# comment\r\nh {KEY}\r\ni {OTHER} comment\r\n",
    "CRLF with an empty line": f"h {KEY}\r\n\r\ni {OTHER}\r\n",
    "bad line": f"h {KEY}\nnonsense\ni {OTHER}\n",
    "hosts alone": f"h\nh {KEY}\n",
    "no base64": f"h ssh-ed25519\nh {KEY}\n",
    "comment in place of a key": f"h # {KEY}\nh ssh-ed25519 # AAAA\nh {KEY}\n",
    "unknown type": f"h ssh-unknown AAAAC3NzaC1lZDI1NTE5AAAA\nh {KEY}\n",
    "damaged base64": f"h ssh-ed25519 AAAAC3Nz!!\nh {KEY[:-9]}\ni {KEY}\n",
    "other type in the base64": f"h ssh-rsa {KEY.split()[1]}\ni {KEY}\n",
    "no last newline": f"h {KEY}\ni {OTHER}",
    "comment without newline": f"h {KEY}\n# the end",
    "not UTF-8": f"h {KEY} caf\xe9\nm\xfcller {OTHER}\ni {RSA}\n".encode("latin-1"),
    "UTF-8": f"h {KEY} café ✓\nmüller {OTHER}\ni {RSA}\n",
    "long lines": f"{','.join(f'host{n}' for n in range(3000))},h {KEY}\ni {OTHER} {'x' * 70000}\n",
    "tabs": f"h\t{KEY.replace(' ', chr(9))}\tcomment\n\ti \t {OTHER}  two  blanks \n",
    "capitals": f"H {KEY}\nHost.Example.ORG,I {OTHER}\n",
    "capitals in patterns": f"*.Example.ORG {KEY}\n!H,I {OTHER}\n",
    "empty": "",
    "newlines": "\n\n\n",
    "empty names": f"h, {KEY}\ni {OTHER}\n",
    "damaged hashes": f"|1|AAAA|AAAA {KEY}\n|2|x|y {KEY}\n|h {KEY}\ni {OTHER}\n",
    "hash without digest": f"{hashed('h').rpartition('|')[0]} {KEY}\ni {OTHER}\n",
    "hash with another digest": f"{hashed('h')[:-4]}AAA= {KEY}\nh {OTHER}\n",
    "hash among names": f"{hashed('h')},i {KEY}\nh {OTHER}\n",
    "certificate's type": f"h ssh-ed25519-cert-v01@openssh.com AAAA\ni {KEY}\n",
    "short names of types": f"h ED25519 {KEY.split()[1]}\ni {KEY}\n",
    "options of a key": f'command="a b" {KEY}\nh {OTHER}\n',
    "BOM": f"\ufeffh {KEY}\ni {OTHER}\n",
}

NAMES = ["h", "host.example.org", "[h]:2222", "H", "i", "2001:db8::1", "müller", "host2999", ""]


@pytest.fixture
def keygen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Keygen:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    return keygen_without_terminal(monkeypatch)


@pytest.fixture(params=FILES)
def content(request: pytest.FixtureRequest) -> bytes:
    if request.param == "short names of types" and version_of("ssh") >= (10, 0):
        pytest.skip("this version of OpenSSH takes them")
    text = FILES[request.param]
    return text if isinstance(text, bytes) else text.encode()


class Both:
    """Runs both programs on files of the same content, each in a directory of its own."""

    def __init__(self, keygen: Keygen, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._keygen = keygen
        self._folder = folder
        self._monkeypatch = monkeypatch

    def __call__(self, content: bytes, *words: str) -> Iterator[tuple[int, str, dict[str, bytes]]]:
        """Yield the exit status, standard output and the files, of theirs and of ours."""
        for name in ("theirs", "ours"):
            place = self._folder / name
            for file in place.iterdir():
                file.unlink()
            (place / "file").write_bytes(content)
            self._monkeypatch.chdir(place)
            done = self._theirs(*words) if name == "theirs" else self._keygen(*words)
            files = {file.name: file.read_bytes() for file in place.iterdir()}
            yield done.exit_code, done.stdout, files

    def _theirs(self, *words: str) -> Done:
        done = run([require("ssh-keygen"), *words], LC_ALL="C.UTF-8")
        return Done(
            done.returncode,
            done.stdout.decode("utf-8", "surrogateescape"),
            done.stderr.decode("utf-8", "surrogateescape"),
        )


@pytest.fixture
def both(keygen: Keygen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Both:
    return Both(keygen, tmp_path, monkeypatch)


@pytest.mark.parametrize("options", [[], ["-l"], ["-lv"], ["-q"]], ids=" ".join)
def test_the_same_lines_are_found(both: Both, content: bytes, options: list[str]) -> None:
    for name in NAMES[: 1 if options else None]:
        theirs, ours = both(content, *options, "-F", name, "-f", "file")
        assert ours == theirs, name


def test_the_same_lines_are_removed(both: Both, content: bytes) -> None:
    for name in NAMES[:4]:
        theirs, ours = both(content, "-R", name, "-f", "file")
        assert ours == theirs, name


def test_the_same_names_are_hashed(both: Both, content: bytes) -> None:
    theirs, ours = (
        (status, said, {name: unhashed(text, content) for name, text in files.items()})
        for status, said, files in both(content, "-H", "-f", "file")
    )
    assert ours == theirs


def test_lines_are_found_and_shown_with_hashes(both: Both, content: bytes) -> None:
    theirs, ours = (
        (status, unhashed(said.encode("utf-8", "surrogateescape"), content))
        for status, said, _ in both(content, "-HF", "h", "-f", "file")
    )
    assert ours == theirs


def test_a_client_looks_at_the_lines_that_ssh_keygen_finds(tmp_path: Path, content: bytes) -> None:
    """Of names in lower case, as clients look for them, and lines with a key that can be read.

    A client takes a marker with a tab behind it, too: a key that is revoked stays revoked.
    """
    content = content.replace(b"@revoked\t", b"@revoked ")
    file = tmp_path / "known_hosts"
    file.write_bytes(content)
    known = KnownHosts.parse(content)
    for name in NAMES:
        if name == name.lower() != "":
            said = run([require("ssh-keygen"), "-lF", name, "-f", file]).stdout
            found = [int(number) for number in re.findall(rb"found: line (\d+) ", said)]
            assert [entry.line_number for entry in known.about(name)] == found, name


HASH = re.compile(rb"\|1\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)")


def unhashed(text: bytes, content: bytes) -> bytes:
    """Return text in which each hash that ``content`` does not have is replaced by the name."""
    decoded = content.decode("utf-8", "surrogateescape")
    names = {part.lower() for part in re.split("[ \t\n,]+", decoded) if len(part) < 100}

    def name(found: re.Match[bytes]) -> bytes:
        if found[0] in content:
            return found[0]
        salt = b64decode(found[1])
        said = [one for one in names if hash_name(one, salt) == found[0].decode()]
        return f"<{said[0]}>".encode("utf-8", "surrogateescape")

    return HASH.sub(name, text) if text.count(b"|1|") < 100 else b""
