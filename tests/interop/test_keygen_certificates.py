"""Certificates, KRLs and signatures of files: ``nacre keygen`` and ssh-keygen side by side."""

from __future__ import annotations

import itertools
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cli.keygen.programs import Keygen, keygen_without_terminal
from interop.agents import agent
from interop.programs import check, require, run
from nacre.keys import PrivateKey, PublicKey, decode_public, dump_private, generate
from nacre.keys.signed.revocation import RevocationList
from nacre.wire.codec import string

TYPES = {
    "ed25519": generate("ssh-ed25519"),
    "ecdsa256": generate("ecdsa-sha2-nistp256"),
    "ecdsa384": generate("ecdsa-sha2-nistp384"),
    "ecdsa521": generate("ecdsa-sha2-nistp521"),
    "rsa": generate("ssh-rsa", bits=1024),
}


def _with_application(key: PrivateKey, type: str) -> PublicKey:
    """Return a public key of a security key, made of a plain one (PROTOCOL.u2f)."""
    fields = key.public.blob[4 + len(key.public.type) :]
    return decode_public(string(type.encode()) + fields + string(b"ssh:"))


HARDWARE = {
    "ed25519_sk": _with_application(TYPES["ed25519"], "sk-ssh-ed25519@openssh.com"),
    "ecdsa_sk": _with_application(TYPES["ecdsa256"], "sk-ecdsa-sha2-nistp256@openssh.com"),
}
DATE = slice(20, 28)
"""The bytes of a KRL that say when it was made."""

MESSAGE = b"a message\n"
TIMES = ["-V", "20200101:20400101"]


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keygen:
    """Run ``nacre keygen`` in ``tmp_path``, where a private key of each type is."""
    for name, key in TYPES.items():
        (tmp_path / name).write_bytes(dump_private(key))
        (tmp_path / name).chmod(0o600)
        (tmp_path / f"{name}.pub").write_text(f"{key.public} a comment\n")
    for name, public in HARDWARE.items():
        (tmp_path / f"{name}.pub").write_text(f"{public} a comment\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.chdir(tmp_path)
    return keygen_without_terminal(monkeypatch)


def theirs(*words: str, typed: bytes = b"") -> CompletedProcess[bytes]:
    return run([require("ssh-keygen"), *words], input=typed, HOME=str(Path.cwd()))


def lines(*words: str) -> list[str]:
    """Return what ssh-keygen prints; as nacre, without blanks that end a line."""
    return check([require("ssh-keygen"), *words]).decode().splitlines()


# --- certificates ---

PAIRS = [
    *zip(TYPES, [*list(TYPES)[1:], "ed25519"], strict=True),
    *zip(HARDWARE, ("rsa", "ed25519"), strict=True),
]


@pytest.mark.parametrize(("type", "authority"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_certificates_of_every_type_are_read_and_shown_alike(
    ours: Keygen, type: str, authority: str
) -> None:
    signing = ["-q", "-s", authority, "-I", "my id", "-n", "a,b", "-z", "3", *TIMES]
    shown = []
    for program in (ours, theirs):
        program(*signing, f"{type}.pub")
        shown.append(lines("-L", "-f", f"{type}-cert.pub"))
        assert ours("-L", "-f", f"{type}-cert.pub").stdout.splitlines() == shown[-1]
        assert Path(f"{type}-cert.pub").read_bytes().endswith(b" a comment\n")
        Path(f"{type}-cert.pub").unlink()
    assert shown[0] == shown[1]


SIGNINGS = [
    [],
    ["-h", "-n", "h.example"],
    ["-h", "-O", "permit-pty"],
    ["-V", "0x1:0x2000000000"],
    ["-V", "0xffff:0xffffffffff"],
    ["-V", "always:20300101123000Z"],
    ["-V", "20200101Z:forever"],
    ["-O", "clear"],
    ["-O", "no-pty", "-O", "no-x11-forwarding", "-O", "no-touch-required"],
    ["-O", "force-command=ls -l", "-O", "source-address=10.0.0.0/8,::1/128"],
    ["-O", "verify-required", "-O", "no-verify-required", "-O", "PERMIT-pty"],
    ["-O", "critical:foo=bar", "-O", "critical:flag", "-O", "extension:y@z=1", "-O", "extension:x"],
    ["-z", "18446744073709551615"],
    ["-z", "+9"],
    ["-t", "rsa-sha2-256"],
    ["-t", "rsa-sha2-512"],
    # refused:
    ["-t", "ed25519"],
    ["-n", "a,,b"],
    ["-z", "18446744073709551616"],
    ["-z", "x"],
    ["-V", "20300101"],
    ["-V", "20300101:20200101"],
    ["-V", "+5x"],
    ["-V", "+5d:"],
    ["-V", "soon:forever"],
    ["-V", "always:0xg"],
    ["-O", "foo"],
    ["-O", "force-command="],
    ["-O", "source-address=foo"],
    ["-O", "source-address=10.0.0.1/8"],
]


@pytest.mark.parametrize("words", SIGNINGS, ids=[" ".join(words) or "plain" for words in SIGNINGS])
def test_options_mean_the_same(ours: Keygen, words: list[str]) -> None:
    results = []
    for program in (ours, theirs):
        done = program("-s", "rsa", "-I", "id", *words, "ed25519.pub", "ecdsa256.pub")
        status = done.exit_code if isinstance(done.stdout, str) else done.returncode
        shown = []
        for name in ("ed25519-cert.pub", "ecdsa256-cert.pub"):
            if Path(name).exists():
                shown.append(lines("-L", "-f", name))
                assert ours("-L", "-f", name).stdout.splitlines() == shown[-1]
                Path(name).unlink()
        said = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
        results.append((status, shown, said.replace("\r", "") if status == 0 else ""))
    assert results[0] == results[1]


def test_an_agent_holds_the_authority(ours: Keygen, monkeypatch: pytest.MonkeyPatch) -> None:
    with agent() as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        check([require("ssh-add"), "-q", "rsa"], SSH_AUTH_SOCK=socket)
        done = ours("-U", "-s", "rsa.pub", "-I", "id", "-t", "rsa-sha2-256", *TIMES, "ed25519.pub")
        assert done.exit_code == 0, done.stderr
        assert "(using rsa-sha2-256)" in "\n".join(lines("-L", "-f", "ed25519-cert.pub"))
        done = ours("-U", "-s", "ecdsa256.pub", "-I", "id", "ed25519.pub")
        assert done.exit_code == 255
        assert "the agent does not hold" in done.stderr


# --- KRLs ---

SPECIFICATIONS = {
    "mixed": "serial: 1-4\nserial: 10\nserial: 999\nserial: 500-700\nserial: 600-0x400\nid: a\n"
    "id: b c # comment\n\n# comment\nserial: 10000-20000\nserial:010\n",
    "keys": "key: {rsa}\nsha1: {ecdsa256}\nsha256: {ecdsa384}\nhash: {hash}\n{ecdsa521}\n",
    "bitmap": "\n".join(f"serial: {serial}" for serial in range(1, 3000, 7)),
    "far": "\n".join(f"serial: {serial}" for serial in range(1, 1 << 40, 1 << 36)),
    "empty": "",
}


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_krls_have_the_same_bytes_and_answers(ours: Keygen, name: str) -> None:
    words = {name: key.public for name, key in TYPES.items()}
    text = SPECIFICATIONS[name].format(hash=TYPES["ed25519"].public.fingerprint(), **words)
    Path("spec").write_text(text)
    theirs("-q", "-s", "ecdsa256", "-I", "a", "ed25519.pub")
    theirs("-q", "-s", "ecdsa256", "-I", "x", "-z", "8", "rsa.pub")
    for program, file in ((ours, "ours"), (theirs, "theirs")):
        program("-k", "-q", "-f", file, "-s", "ecdsa256.pub", "-z", "5", "-C", "me", "spec")
        program("-k", "-u", "-q", "-f", file, "-s", "none", "ed25519-cert.pub")
    made = [bytearray(Path(file).read_bytes()) for file in ("ours", "theirs")]
    for content in made:
        content[DATE] = bytes(8)
    assert made[0] == made[1]
    for one in (*(f"{name}.pub" for name in TYPES), "ed25519-cert.pub", "rsa-cert.pub"):
        found, expected = ours("-Q", "-f", "theirs", one), theirs("-Q", "-f", "ours", one)
        assert (found.exit_code, found.stdout) == (expected.returncode, expected.stdout.decode())
    listed = ours("-Q", "-l", "-f", "theirs")
    assert listed.stdout == theirs("-Q", "-l", "-f", "theirs").stdout.decode()


@pytest.mark.parametrize(
    "line",
    ["serial: 0", "serial: 5-4", "serial: x", "serial: 09", "nonsense", "hash: MD5:a", "key: x"],
)
def test_lines_of_krls_that_both_refuse(ours: Keygen, line: str) -> None:
    found = ours("-k", "-f", "krl", "-s", "none", "-", typed=f"{line}\n")
    expected = theirs("-k", "-f", "krl", "-s", "none", "-", typed=f"{line}\n".encode())
    assert found.exit_code == expected.returncode == 255


def test_openssh_reads_a_krl_of_many_certificates(ours: Keygen) -> None:
    made = RevocationList()
    for serial in itertools.chain(range(1, 40_000, 2), range(1 << 50, (1 << 50) + 500)):
        made.add_serials(TYPES["ed25519"].public, serial, serial)
    Path("krl").write_bytes(made.encode(0))
    shown = theirs("-Q", "-l", "-f", "krl").stdout.decode()
    assert shown == ours("-Q", "-l", "-f", "krl").stdout
    assert shown.count("serial: ") == 20_001


# --- signatures of files ---


@pytest.mark.parametrize("type", TYPES)
def test_signatures_are_good_for_both(ours: Keygen, type: str) -> None:
    key = TYPES[type].public
    Path("m").write_bytes(MESSAGE)
    Path("allowed").write_text(f'me@x,"other" namespaces="f*" {key}\n*@x {key}\n')
    for sign, hash_name in itertools.product((ours, theirs), ("sha256", "sha512")):
        sign("-q", "-Y", "sign", "-n", "file", "-f", type, "-O", f"hashalg={hash_name}", "m")
        for words in (
            ["verify", "-n", "file", "-f", "allowed", "-I", "me@x"],
            ["verify", "-n", "file", "-f", "allowed", "-I", "nobody"],
            ["verify", "-n", "git", "-f", "allowed", "-I", "me@x"],
            ["check-novalidate", "-n", "file"],
            ["find-principals", "-f", "allowed"],
        ):
            found = ours("-Y", *words, "-s", "m.sig", typed=MESSAGE.decode())
            expected = theirs("-Y", *words, "-s", "m.sig", typed=MESSAGE)
            assert found.stdout == expected.stdout.decode()
            assert found.exit_code == expected.returncode
        Path("m.sig").unlink()


def test_signatures_with_certificates_are_good_for_both(ours: Keygen) -> None:
    theirs("-q", "-s", "ecdsa256", "-I", "id", "-n", "me@x", *TIMES, "ed25519.pub")
    Path("m").write_bytes(MESSAGE)
    Path("allowed").write_text(f"*@x cert-authority {TYPES['ecdsa256'].public}\n")
    for sign in (ours, theirs):
        done = sign("-q", "-Y", "sign", "-n", "file", "-f", "ed25519-cert.pub", "m")
        if not Path("m.sig").exists():
            # OpenSSH signs with a certificate only through an agent.
            assert sign is theirs, done.stderr
            continue
        for name, time in (("me@x", "20210101"), ("you@x", "20210101"), ("me@x", "20190101")):
            words = ["-Y", "verify", "-n", "file", "-f", "allowed", "-I", name, "-s", "m.sig"]
            words += ["-O", f"verify-time={time}"]
            found, expected = ours(*words, typed=MESSAGE.decode()), theirs(*words, typed=MESSAGE)
            assert (found.exit_code, found.stdout) == (
                expected.returncode,
                expected.stdout.decode(),
            )
        Path("m.sig").unlink()
