"""Keys that ``nacre keygen`` makes, in the hands of others; and theirs in its."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import keygen_without_terminal
from interop.clients import Login
from interop.config_cases.programs import version_of
from interop.daemons import State, start_nacre
from interop.programs import NACRE, check, require, run
from interop.ssh1_peers import SSH1

KEYGEN = [*NACRE, "keygen"]

TYPES = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa256": ["-t", "ecdsa"],
    "ecdsa384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa521": ["-t", "ecdsa", "-b", "521"],
    "rsa": ["-t", "rsa", "-b", "2048"],
}

both = pytest.mark.parametrize("passphrase", ["", "secret words"])


def words(line: bytes) -> list[str]:
    return line.decode().split()


@both
@pytest.mark.parametrize("type", TYPES)
def test_ours_are_read_by_ssh_keygen(tmp_path: Path, type: str, passphrase: str) -> None:
    key = tmp_path / "key"
    check([*KEYGEN, "-q", *TYPES[type], "-N", passphrase, "-C", "me here", "-f", key])
    keygen = require("ssh-keygen")
    public = key.with_suffix(".pub").read_bytes()
    assert check([keygen, "-y", "-P", passphrase, "-f", key]) == public
    for options in (["-l"], ["-l", "-E", "md5"]):
        ours = check([*KEYGEN, *options, "-f", key])
        assert ours == check([keygen, *options, "-f", key.with_suffix(".pub")])
        assert b"me here" in ours


@both
@pytest.mark.parametrize("type", TYPES)
def test_theirs_are_read_by_ours(tmp_path: Path, type: str, passphrase: str) -> None:
    key = tmp_path / "key"
    keygen = require("ssh-keygen")
    check([keygen, "-q", *TYPES[type], "-N", passphrase, "-C", "me here", "-f", key])
    public = key.with_suffix(".pub").read_bytes()
    assert check([*KEYGEN, "-y", "-P", passphrase, "-f", key]) == public
    # Changed by ours, it is still theirs.
    check([*KEYGEN, "-q", "-p", "-P", passphrase, "-N", "new words", "-f", key])
    check([*KEYGEN, "-q", "-c", "-P", "new words", "-C", "you", "-f", key])
    expected = [*words(public)[:2], "you"]
    assert words(check([keygen, "-y", "-P", "new words", "-f", key])) == expected
    assert words(key.with_suffix(".pub").read_bytes()) == expected


# --- what both programs print of the same files ---


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with keys of every type that ssh-keygen makes, and lists of them."""
    folder = tmp_path_factory.mktemp("keys")
    keygen = require("ssh-keygen")
    comments = {"ed25519": "two  blanks", "ecdsa384": "", "rsa": "caf\udce9 \\ \x1b[31m"}
    for type, options in TYPES.items():
        comment = comments.get(type, f"{type} café")
        check([keygen, "-q", *options, "-N", "", "-f", folder / type, "-C", comment])
    for name, more in {"pem": ["-m", "PEM"], "locked": ["-N", "secret", "-a", "1"]}.items():
        check([keygen, "-q", "-t", "ecdsa", "-N", "", *more, "-C", "me", "-f", folder / name])
        (folder / f"{name}-alone").write_bytes((folder / name).read_bytes())
        (folder / f"{name}-alone").chmod(0o600)
    check([keygen, "-q", "-s", folder / "rsa", "-I", "id", "-h", "-n", "h", folder / "ed25519.pub"])
    one, two = ((folder / f"{name}.pub").read_text() for name in ("ed25519", "ecdsa256"))
    plain = " ".join(two.split()[:2])
    lists = {
        "authorized_keys": f'# keys\n\n{one}  from="a b",no-pty {two}restrict {plain}\n'
        f'command="say \\"a b\\"" {plain} # x\nbad line\n\t{plain}\t tab\n@marked {plain}\n',
        "known_hosts": f"h,i {plain}\n[h]:22 {one}|1|abc|def {plain} c\n@revoked * {plain} d",
        "crlf": f"{one}h {plain}\n".replace("\n", "\r\n"),
        "bad": "bad\n",
    }
    for name, text in lists.items():
        (folder / name).write_bytes(text.encode())
    return folder


PRINTED = [
    *("ed25519", "ecdsa384", "ecdsa521", "ecdsa256.pub", "rsa.pub", "ed25519-cert.pub"),
    *(
        "pem",
        "pem-alone",
        "locked",
        "locked-alone",
        "authorized_keys",
        "known_hosts",
        "crlf",
        "bad",
    ),
    "missing",
]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ("-l", PRINTED),
        ("-lv", PRINTED),
        ("-l -E md5", PRINTED[:6]),
        ("-lv -E sha512", PRINTED[:6]),
        ("-B", PRINTED),
        ("-lBv", PRINTED[:6]),
        ("-y", ["ed25519", "ecdsa384", "rsa", "pem", "pem-alone", "missing"]),
        ("-y -P secret", ["locked", "locked-alone"]),
        ("-y -P wrong", ["locked"]),
        ("-r host.example.org", [*TYPES, "ed25519.pub", "authorized_keys", "bad", "missing"]),
        ("-r host -g", ["ed25519", "rsa.pub"]),
    ],
)
def test_the_same_is_printed(
    files: Path, monkeypatch: pytest.MonkeyPatch, options: str, names: list[str]
) -> None:
    monkeypatch.chdir(files)
    ours = keygen_without_terminal(monkeypatch)
    for name in names:
        if name == "crlf" and version_of("ssh") >= (10, 0):
            continue  # it takes the CR for a part of the comment
        words = [*options.split(), "-f", name]
        theirs = run([require("ssh-keygen"), *words], LC_ALL="C.UTF-8")
        done = ours(*words)
        printed = done.stdout.encode("utf-8", "surrogateescape")
        assert (printed, done.exit_code) == (theirs.stdout, theirs.returncode), name


def test_keys_of_standard_input(files: Path) -> None:
    text = (files / "authorized_keys").read_bytes()
    theirs = check([require("ssh-keygen"), "-l", "-f", "-"], input=text, LC_ALL="C.UTF-8")
    assert check([*KEYGEN, "-l", "-f", "-"], input=text, LC_ALL="C.UTF-8") == theirs


def test_host_keys_that_are_missing_are_made(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "ssh"
    folder.mkdir(parents=True)
    keygen = require("ssh-keygen")
    kept = folder / "ssh_host_rsa_key"
    check([keygen, "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", kept])
    before = kept.read_bytes()
    (folder / "ssh_host_ecdsa_key").touch()
    said = check([*KEYGEN, "-A", "-f", tmp_path])
    assert said == b"nacre keygen: generating new host keys: ECDSA ED25519 \n"
    assert kept.read_bytes() == before
    for type in ("ecdsa", "ed25519"):
        public = check([keygen, "-y", "-f", folder / f"ssh_host_{type}_key"])
        assert public == (folder / f"ssh_host_{type}_key.pub").read_bytes()
    assert check([*KEYGEN, "-A", "-f", tmp_path]) == b""


@both
def test_puttygen_reads_ours(tmp_path: Path, passphrase: str) -> None:
    key = tmp_path / "key"
    check([*KEYGEN, "-q", "-N", passphrase, "-C", "me", "-f", key])
    (tmp_path / "passphrase").write_text(passphrase)
    old = ["--old-passphrase", tmp_path / "passphrase"]
    shown = check([require("puttygen"), key, "-L", *old])
    assert words(shown)[:2] == words(key.with_suffix(".pub").read_bytes())[:2]


def test_ours_logs_in(tmp_path: Path) -> None:
    key = tmp_path / "key"
    check([*KEYGEN, "-q", "-N", "", "-f", key])
    state = State(tmp_path / "state")
    state.add_user("any", keys=[key.with_suffix(".pub")])
    with start_nacre(state) as server:
        login = Login(server, "any", tmp_path, key)
        assert run([*login.ssh(), "exit 3"]).returncode == 3
        assert run([*login.nacre_ssh(), "exit 4"]).returncode == 4


# --- RSA1 ---


@both
def test_ssh_keygen1_and_puttygen_read_ours(tmp_path: Path, ssh1: SSH1, passphrase: str) -> None:
    key = tmp_path / "key"
    public = key.with_suffix(".pub")
    check([*KEYGEN, "-q", "-t", "rsa1", "-b", "1024", "-N", passphrase, "-C", "me", "-f", key])
    keygen = require("ssh-keygen1")
    line = check([keygen, "-y", "-P", passphrase, "-f", key], **ssh1.environment)
    assert words(line) == words(public.read_bytes())[:3]
    (tmp_path / "passphrase").write_text(passphrase)
    puttys = [require("puttygen"), key, "-L", "--old-passphrase", tmp_path / "passphrase"]
    assert words(check(puttys)) == words(public.read_bytes())
    for options in (["-l"], ["-l", "-E", "md5"]):
        shown = [check([*KEYGEN, *options, "-f", file]) for file in (key, public)]
        theirs = check([keygen, *options, "-f", public], **ssh1.environment)
        assert shown == [theirs, theirs]


@both
def test_ours_reads_those_of_ssh_keygen1(tmp_path: Path, ssh1: SSH1, passphrase: str) -> None:
    key = tmp_path / "key"
    made = [require("ssh-keygen1"), "-q", "-t", "rsa1", "-b", "1024", "-C", "me", "-f", key]
    check([*made, "-N", passphrase], **ssh1.environment)
    assert check([*KEYGEN, "-y", "-P", passphrase, "-f", key]) == (
        key.with_suffix(".pub").read_bytes()
    )
    check([*KEYGEN, "-q", "-p", "-P", passphrase, "-N", "new words", "-f", key])
    shown = [require("ssh-keygen1"), "-y", "-P", "new words", "-f", key]
    assert (
        words(check(shown, **ssh1.environment)) == words(key.with_suffix(".pub").read_bytes())[:3]
    )


@both
def test_ours_reads_those_of_puttygen(tmp_path: Path, passphrase: str) -> None:
    key = tmp_path / "key"
    (tmp_path / "passphrase").write_text(passphrase)
    made = [require("puttygen"), "-t", "rsa1", "-b", "1024", "-q", "-C", "me", "-o", key]
    check([*made, "--new-passphrase", tmp_path / "passphrase"])
    theirs = [require("puttygen"), key, "-L", "--old-passphrase", tmp_path / "passphrase"]
    assert check([*KEYGEN, "-y", "-P", passphrase, "-f", key]) == check(theirs)


def test_an_rsa1_key_of_ours_logs_in(tmp_path: Path, ssh1: SSH1) -> None:
    key = tmp_path / "key"
    check([*KEYGEN, "-q", "-t", "rsa1", "-N", "", "-f", key])
    add = [*NACRE, "user", "key", "add", "any", key.with_suffix(".pub")]
    check([*add, "--state", ssh1.directory / "state"])
    ours = ssh1.using(key)
    clients = [
        [*ours.ssh1(), "exit 3"],
        [*ours.putty("plink", "-i", str(key)), "127.0.0.1", "exit 3"],
        [*ours.nacre("ssh"), "any@127.0.0.1", "exit 3"],
    ]
    for command in clients:
        since = len(ssh1.server.log)
        done = run(command, **ssh1.environment)
        assert done.returncode == 3, done.stderr.decode()
        ssh1.server.wait_for("method=publickey .*outcome=success", since=since)


def test_the_same_primes_are_found(tmp_path: Path) -> None:
    """Of candidates from a little before half of a known safe prime of 512 bits."""
    start = (
        "5C390A434EBB334BE1DF729F32BA70CDC3054B822F189301B108EF2F3BE4B4AB12033AE1E95501E4F048E61B"
    )
    start += "21D6E6C5F8AD3FC0FD4AE2D0B1F8D52B80FE7A00"
    details = ["-O", "bits=512", "-O", f"start={start}", "-O", "memory=1"]
    check([*KEYGEN, "-M", "generate", *details, tmp_path / "candidates"])
    found = {}
    for name, program in {"theirs": [require("ssh-keygen")], "ours": KEYGEN}.items():
        screen = [*program, "-M", "screen", "-f", tmp_path / "candidates", "-O", "lines=100"]
        check([*screen, "-O", "prime-tests=10", tmp_path / name])
        lines = (tmp_path / name).read_text().splitlines()
        found[name] = [line.partition(" ")[2] for line in lines]
    assert found["ours"] == found["theirs"]
    assert found["ours"] != []
