"""``nacre keygen``: what it asks, says and writes. What others make of its keys: tests/interop."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.common import prompts
from nacre.cli.keygen.command import command
from nacre.errors import PassphraseRequired
from nacre.keys import dump_private, generate, load_private, load_public
from nacre.keys.known_hosts import KnownHosts

Keygen = Callable[..., Result]


@pytest.fixture
def keygen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keygen:
    """Call it where there is no terminal: what it asks is answered on standard input."""
    monkeypatch.setattr(prompts, "TTY", str(tmp_path / "no terminal"))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("SSH_ASKPASS_REQUIRE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(*words: str, typed: str = "") -> Result:
        return CliRunner().invoke(command, list(words), input=typed)

    return call


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("type", "name", "wire", "bits"),
    [
        ("ed25519", "id_ed25519", "ssh-ed25519", 256),
        ("ecdsa", "id_ecdsa", "ecdsa-sha2-nistp256", 256),
        ("rsa", "id_rsa", "ssh-rsa", 3072),
        ("rsa1", "identity", "rsa1", 2048),
    ],
)
def test_a_key_in_its_usual_place(
    keygen: Keygen, tmp_path: Path, type: str, name: str, wire: str, bits: int
) -> None:
    done = keygen("-t", type, "-C", "me", typed="\n\n\n")
    assert done.exit_code == 0, done.output
    file = tmp_path / ".ssh" / name
    assert mode(tmp_path / ".ssh") == 0o700
    assert (mode(file), mode(file.with_suffix(".pub"))) == (0o600, 0o644)
    key = load_private(file.read_bytes())
    assert (key.public.type, key.public.bits, key.comment) == (wire, bits, "me")
    assert load_public(file.with_suffix(".pub").read_bytes()) == (key.public, "me")
    said = done.stdout
    for text in (
        f"Generating public/private {type} key pair.",
        f"Enter file in which to save the key ({file}): Created directory",
        f"Your identification has been saved in {file}\n",
        f"Your public key has been saved in {file}.pub\n",
        f"The key fingerprint is:\n{key.public.fingerprint()} me\n",
    ):
        assert text in said
    assert ("works with SSH-1 only, which is weak" in said) is (type == "rsa1")


def test_quiet(keygen: Keygen, tmp_path: Path) -> None:
    done = keygen("-q", "-t", "rsa1", "-N", "", "-f", "key")
    assert (done.output, done.exit_code) == ("", 0)
    assert (tmp_path / "key").exists()


def test_the_passphrase_is_asked_for_until_it_is_typed_twice(keygen: Keygen) -> None:
    done = keygen("-f", "key", typed="one\ntwo\nsecret\nsecret\n")
    assert done.exit_code == 0
    assert "Passphrases do not match.  Try again." in done.stdout
    text = Path("key").read_bytes()
    with pytest.raises(PassphraseRequired):
        load_private(text)
    assert load_private(text, "secret")


def test_no_passphrase_makes_no_key(keygen: Keygen, tmp_path: Path) -> None:
    done = keygen("-f", "key", typed="secret\n")
    assert done.exit_code == 1
    assert "no answer" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("typed", "status"), [("n\n", 1), ("", 1), ("y\n", 0), ("Yes\n", 0)])
def test_overwriting(keygen: Keygen, typed: str, status: int) -> None:
    Path("key").write_text("what was there")
    done = keygen("-q", "-f", "key", "-N", "", typed=typed)
    assert done.exit_code == status
    assert "key already exists.\nOverwrite (y/n)? " in done.stdout
    assert (Path("key").read_text() == "what was there") is (status == 1)
    assert [*Path().glob(".*")] == []


def test_a_link_stays_one(keygen: Keygen, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    Path("key").symlink_to("elsewhere/key")
    assert keygen("-q", "-f", "key", "-N", "").exit_code == 0
    assert Path("key").is_symlink()
    assert mode(tmp_path / "elsewhere" / "key") == 0o600


def test_a_disk_that_says_no(keygen: Keygen) -> None:
    done = keygen("-q", "-f", "none/key", "-N", "")
    assert done.exit_code == 1
    assert done.stderr == 'Saving key "none/key" failed: No such file or directory\n'


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-t", "rsa", "-b", "512"], "an RSA key has from 1024"),
        (["-t", "rsa1", "-b", "512"], "a new RSA1 key has from 1024"),
        (["-t", "ecdsa", "-b", "300"], "Invalid ECDSA key length"),
        (["-l", "-f", "none"], "none: No such file"),
        (["-y", "-f", "none"], "none: No such file"),
    ],
)
def test_what_can_not_be(keygen: Keygen, words: list[str], said: str) -> None:
    done = keygen("-q", *words, *([] if "-f" in words else ["-f", "key", "-N", ""]))
    assert done.exit_code == 255
    assert said in done.stderr
    assert not Path("key").exists()


def test_one_thing_at_a_time(keygen: Keygen) -> None:
    assert keygen("-l", "-y", "-f", "key").exit_code == 2
    assert keygen("-t", "dsa", "-f", "key").exit_code == 2


# --- what is done to a file that is there ---


@pytest.fixture(params=["rsa1", "ssh-ed25519"])
def made(request: pytest.FixtureRequest, keygen: Keygen) -> Path:
    """A key with the passphrase ``old``, and its public half beside it."""
    key = generate(request.param, bits=1024 if request.param == "rsa1" else None, comment="me")
    file = Path("key")
    file.write_bytes(dump_private(key, "old"))
    file.chmod(0o600)
    Path("key.pub").write_text(f"{key.public} me\n")
    return file


@pytest.mark.slow
def test_the_public_half(keygen: Keygen, made: Path) -> None:
    expected = Path("key.pub").read_text()
    assert keygen("-y", "-f", "key", "-P", "old").stdout == expected
    assert keygen("-y", "-f", "key", typed="old\n").stdout == expected
    for done in (
        keygen("-y", "-f", "key", "-P", "wrong"),
        keygen("-y", "-f", "key", typed="wrong\n"),
    ):
        assert (done.stdout, done.exit_code) == ("", 255)
        assert 'Load key "key": ' in done.stderr


@pytest.mark.slow
def test_another_passphrase(keygen: Keygen, made: Path) -> None:
    done = keygen("-p", "-f", "key", typed="old\nnew\nnew\n")
    assert done.exit_code == 0, done.output
    assert "Key has comment 'me'" in done.stdout
    assert "saved with the new passphrase" in done.stdout
    assert load_private(made.read_bytes(), "new").comment == "me"
    assert mode(made) == 0o600
    # None at all.
    assert keygen("-q", "-p", "-f", "key", "-P", "new", "-N", "").output == ""
    assert load_private(made.read_bytes())


@pytest.mark.slow
def test_passphrases_that_differ_change_nothing(keygen: Keygen, made: Path) -> None:
    before = made.read_bytes()
    done = keygen("-p", "-f", "key", typed="old\nnew\nnewer\n")
    assert (done.exit_code, done.stderr) == (1, "Pass phrases do not match.  Try again.\n")
    assert keygen("-p", "-f", "key", typed="wrong\nnew\nnew\n").exit_code == 255
    assert made.read_bytes() == before


@pytest.mark.slow
def test_another_comment(keygen: Keygen, made: Path) -> None:
    done = keygen("-c", "-f", "key", "-P", "old", typed="somebody else\n")
    assert done.exit_code == 0
    assert "Old comment: me\nNew comment: Comment 'somebody else' applied\n" in done.stdout
    assert load_private(made.read_bytes(), "old").comment == "somebody else"
    assert load_public(Path("key.pub").read_text())[1] == "somebody else"


@pytest.mark.slow
def test_a_comment_adds_no_line(keygen: Keygen, made: Path) -> None:
    assert keygen("-q", "-c", "-f", "key", "-P", "old", "-C", "a\nssh-rsa b").exit_code == 0
    assert Path("key.pub").read_text().count("\n") == 1
    assert keygen("-y", "-f", "key", "-P", "old").stdout.count("\n") == 1


def test_a_key_that_others_can_read(keygen: Keygen, made: Path) -> None:
    made.chmod(0o644)
    done = keygen("-y", "-f", "key", "-P", "old")
    assert done.exit_code == 255
    assert "let others read it" in done.stderr
    assert keygen("-l", "-f", "key").exit_code == 0
    # A public key may be read by all: that is not what is wrong here.
    assert "not a private key" in keygen("-y", "-f", "key.pub").stderr


def test_fingerprints(keygen: Keygen, made: Path) -> None:
    public = load_public(Path("key.pub").read_text())[0]
    label = "RSA1" if public.type == "rsa1" else "ED25519"
    shown = f"{public.bits} {public.fingerprint()} me ({label})\n"
    assert keygen("-l", "-f", "key").stdout == shown
    assert keygen("-l", "-f", "key.pub").stdout == shown
    md5 = f"{public.bits} {public.fingerprint('md5')} me ({label})\n"
    assert keygen("-l", "-E", "md5", "-f", "key").stdout == md5
    # A public half of another key tells nothing.
    Path("key.pub").write_text(f"{generate('ssh-ed25519').public} you\n")
    if label == "ED25519":
        shown = shown.replace(" me ", " no comment ")
        assert keygen("-l", "-f", "key").stdout == shown


def test_fingerprints_of_lists(keygen: Keygen) -> None:
    one, two = (generate("ssh-ed25519").public for _ in range(2))
    old = generate("rsa1", bits=1024).public
    lines = [
        "# a comment",
        f"{one} first",
        f'from="a, b",no-pty {two} second',
        f"host,192.0.2.1 {one}",
        f"{old} third",
        f"[host]:2222 {old}",
        "nonsense",
        f"{two}",
    ]
    Path("list").write_text("\n".join(lines))
    shown = [
        f"256 {one.fingerprint()} first (ED25519)",
        f"256 {two.fingerprint()} second (ED25519)",
        f"256 {one.fingerprint()} host,192.0.2.1 (ED25519)",
        f"1024 {old.fingerprint()} third (RSA1)",
        f"1024 {old.fingerprint()} [host]:2222 (RSA1)",
        f"256 {two.fingerprint()} no comment (ED25519)",
    ]
    assert keygen("-l", "-f", "list").stdout.splitlines() == shown
    Path("list").write_text("nonsense\n")
    assert keygen("-l", "-f", "list").stderr == "list is not a public key file.\n"


def test_passphrases_are_typed_on_the_terminal_without_echo(keygen: Keygen) -> None:
    """Not as an argument, and not where a pipe is: there may be other things in it."""
    import pty
    import threading

    master, slave = pty.openpty()
    prompts.TTY = os.ttyname(slave)
    seen = bytearray()

    def human() -> None:
        for answer in (b"secret\n", b"secret\n"):
            while not seen.endswith((b"passphrase): ", b"again: ")):
                seen.extend(os.read(master, 1000))
            seen.extend(b"|")
            os.write(master, answer)

    typing = threading.Thread(target=human, daemon=True)
    typing.start()
    done = keygen("-q", "-f", "key", typed="from the pipe\n")
    typing.join(10)
    os.close(master)
    os.close(slave)
    assert done.exit_code == 0
    assert b"secret" not in seen
    assert load_private(Path("key").read_bytes(), "secret")


# --- known_hosts ---


def test_the_keys_of_a_host_are_removed(keygen: Keygen, tmp_path: Path) -> None:
    key, other = (generate("ssh-ed25519").public for _ in range(2))
    file = tmp_path / "known_hosts"
    hashed = KnownHosts.line_for("h", 2222, other, hashed=True)
    before = f"# mine\n[h]:2222 {key}\nh {key}\n{hashed}\n@revoked * {other}\n"
    file.write_text(before)
    file.chmod(0o640)
    done = keygen("-f", str(file), "-R", "[H]:2222")
    assert done.exit_code == 0, done.output
    assert "found: line 2" in done.stdout
    assert "found: line 4" in done.stdout
    assert file.read_text() == f"# mine\nh {key}\n@revoked * {other}\n"
    assert file.with_name("known_hosts.old").read_text() == before
    assert mode(file) == 0o640
    again = keygen("-f", str(file), "-R", "[h]:2222")
    assert again.exit_code == 255
    assert "not found" in again.stderr
    assert keygen("-f", str(tmp_path / "nothing"), "-R", "h").exit_code == 255


def test_a_host_is_removed_from_the_usual_file(keygen: Keygen, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    file = tmp_path / ".ssh" / "known_hosts"
    file.write_text(f"h {generate('ssh-ed25519').public}\n")
    assert keygen("-R", "h").exit_code == 0
    assert file.read_text() == ""
    assert keygen("-R", "h", "-y").exit_code == 2
