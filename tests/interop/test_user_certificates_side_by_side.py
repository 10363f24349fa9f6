"""Certificates of ssh-keygen, shown by ssh: let in or refused by sshd and by nacre-sshd alike.

The two servers are started once. Each kind of configuration is a Match block for an address of
127.0.0.0/8, and a client binds to the address of the one that it wants.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.config_cases.programs import version_of
from interop.programs import check, require, run
from interop.side_by_side import SERVERS, Both, alike, put, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root serves other accounts"),
]

NAME = ".ssh/side_by_side"
PRINCIPALS = ".ssh/principals"
ADDRESSES = {
    "trusted": "127.0.0.10",
    "file": "127.0.0.11",
    "command": "127.0.0.12",
    "both": "127.0.0.13",
    "revoked": "127.0.0.14",
    "keys": "127.0.0.15",
    "lines": "127.0.0.16",
    "forced": "127.0.0.17",
    "refused commands": "127.0.0.18",
    "signed by RSA": "127.0.0.19",
    "certificates": "127.0.0.20",
}


@dataclass
class World:
    """The servers, and what the cases change.

    :ivar scripts: the programs that the servers run, in a directory of root's.
    """

    both: Both
    keys: dict[str, Path]
    scripts: Path
    authorities: dict[str, Path] = field(default_factory=dict)

    @property
    def user(self) -> str:
        return self.both.account.name

    def certificate(self, *options: str, ca: str = "ca", key: str = "ed25519") -> Path:
        """Sign the client's key; ``{user}`` in the options is the account's name."""
        words = [option.replace("{user}", self.user) for option in options]
        if "-I" not in words:
            words = ["-I", "an id", *words]
        public = self.both.directory / f"{key}.pub"
        shutil.copy(self.keys[key].with_suffix(".pub"), public)
        check([require("ssh-keygen"), "-q", "-s", self.authorities[ca], *words, public])
        return public.with_name(f"{key}-cert.pub")

    def ssh(
        self,
        case: str,
        certificate: Path | None,
        *words: str,
        flags: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> dict[str, subprocess.CompletedProcess[bytes]]:
        chosen = [] if certificate is None else [f"CertificateFile={certificate}"]
        bind = ["-b", ADDRESSES[case]]
        return self.both.ssh(
            *words, flags=[*bind, *flags], options=[*chosen, "BatchMode=yes", *options]
        )

    def enters(self, case: str, certificate: Path | None) -> bool:
        """Tell whether both servers let the client in; that they agree is checked."""
        return alike(self.ssh(case, certificate, "echo in")).stdout == b"in\n"

    def put(self, name: str, text: str) -> None:
        """Write a file of the account's."""
        path = self.both.account.home / name
        path.write_text(text.replace("{user}", self.user))
        shutil.chown(path, self.user)


def make_authority(path: Path, *options: str) -> Path:
    check([require("ssh-keygen"), "-q", "-N", "", "-C", "", *options, "-f", path])
    return path


def configuration(world: Path, authority: Path) -> list[str]:
    trusted = f"TrustedUserCAKeys {authority}.pub"
    principals = f"AuthorizedPrincipalsFile {PRINCIPALS}"
    both = " %D. %C" if version_of("ssh") >= (9, 4) else ""
    command = [
        f'AuthorizedPrincipalsCommand {world}/principals "a word" '
        f"%u %h %U %i %s %t %T %f %F %k %K %%{both}",
        "AuthorizedPrincipalsCommandUser nobody",
    ]
    blocks = {
        "trusted": [trusted],
        "file": [trusted, principals],
        "command": [trusted, *command],
        "both": [trusted, principals, *command],
        "revoked": [trusted, f"RevokedKeys {world}/revoked", f"AuthorizedKeysFile {NAME}"],
        "keys": [
            f'AuthorizedKeysCommand {world}/keys "a word" %u %h %U %t %f %k %%{both}',
            "AuthorizedKeysCommandUser nobody",
        ],
        "lines": [f"AuthorizedKeysFile {NAME}"],
        "forced": [trusted, "ForceCommand echo of the configuration"],
        "signed by RSA": [trusted, "CASignatureAlgorithms rsa-sha2-512"],
        "certificates": [
            trusted,
            f"AuthorizedKeysFile {NAME}",
            "PubkeyAcceptedAlgorithms ssh-ed25519-cert-v01@openssh.com",
        ],
        "refused commands": [
            f"AuthorizedKeysCommand {world}/others",
            "AuthorizedKeysCommandUser nobody",
        ],
    }
    lines = ["AuthorizedKeysFile none", "ExposeAuthInfo yes", "PrintMotd no", "PrintLastLog no"]
    for name, block in blocks.items():
        lines += [f"Match Address {ADDRESSES[name]}", *block]
    return lines


@pytest.fixture(scope="module")
def world(
    system_account: Account,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("certificates")
    scripts = Path(f"/srv/nacre-certificates-{os.getpid()}")
    scripts.mkdir(mode=0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, scripts)
        authority = make_authority(scripts / "ca", "-t", "ed25519")
        logins = {}
        for server in SERVERS:
            config = ["UsePAM no", *configuration(scripts, authority)]
            daemon = start(server, directory, host_keys["ed25519"], config)
            stack.callback(daemon.stop)
            own = directory / f"client-{server}"
            own.mkdir()
            logins[server] = Login(daemon, system_account.name, own, keys["ed25519"])
        both = Both(logins, system_account, directory)
        others = {
            "other": make_authority(directory / "other", "-t", "ed25519"),
            "rsa": make_authority(directory / "rsa", "-t", "rsa", "-b", "2048"),
            "late": make_authority(directory / "late", "-t", "ed25519"),
            "ca": authority,
        }
        with (scripts / "ca.pub").open("a") as file:
            file.write("# the second\n\n" + others["rsa"].with_suffix(".pub").read_text())
            file.write("nonsense\n" + others["late"].with_suffix(".pub").read_text())
        yield World(both, keys, scripts, others)


def script(world: World, name: str, text: str, mode: int = 0o755) -> Path:
    path = world.scripts / name
    path.unlink(missing_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(mode)
    return path


# --- certificates of a trusted authority ---

USER = ("-n", "{user}")


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        (USER, True),
        (("-n", "other,{user}"), True),
        (("-n", "other"), False),
        (("-n", "{user}x"), False),
        ((), False),
        ((*USER, "-V", "-1d:+1d"), True),
        ((*USER, "-V", "-2d:-1d"), False),
        ((*USER, "-V", "+1d:+2d"), False),
        ((*USER, "-h"), False),
        ((*USER, "-O", "source-address=127.0.0.0/8"), True),
        ((*USER, "-O", "source-address=192.0.2.0/24,127.0.0.10"), True),
        ((*USER, "-O", "source-address=192.0.2.0/24"), False),
        ((*USER, "-O", "verify-required"), True),
        ((*USER, "-O", "no-touch-required"), True),
        ((*USER, "-O", "critical:unknown@example.com"), False),
        ((*USER, "-O", "critical:unknown@example.com=data"), False),
        ((*USER, "-O", "extension:unknown@example.com=data"), True),
        ((*USER, "-z", "18446744073709551615", "-I", "an id with % and a \x07"), True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_trusted_authority(world: World, options: tuple[str, ...], allowed: bool) -> None:
    assert world.enters("trusted", world.certificate(*options)) is allowed


@pytest.mark.parametrize("key", ["rsa", "ecdsa256", "ecdsa384", "ecdsa521"])
def test_every_family(world: World, key: str) -> None:
    certificate = world.certificate(*USER, key=key)
    for name, login in world.both.logins.items():
        words = login.using(world.keys[key]).ssh(
            f"CertificateFile={certificate}", "BatchMode=yes", flags=["-b", ADDRESSES["trusted"]]
        )
        assert run([*words, "echo in"]).stdout == b"in\n", name


@pytest.mark.parametrize(
    ("ca", "options", "allowed"),
    [
        ("other", (), False),
        ("late", (), False),
        ("rsa", (), True),
        ("rsa", ("-t", "rsa-sha2-256"), True),
        ("rsa", ("-t", "ssh-rsa"), False),
    ],
    ids=["another one", "behind a line that is no key", "rsa-sha2-512", "rsa-sha2-256", "SHA-1"],
)
def test_who_has_signed(world: World, ca: str, options: tuple[str, ...], allowed: bool) -> None:
    assert world.enters("trusted", world.certificate(*USER, *options, ca=ca)) is allowed


def test_algorithms_by_match_block(world: World) -> None:
    assert world.enters("signed by RSA", world.certificate(*USER, ca="rsa"))
    assert not world.enters("signed by RSA", world.certificate(*USER))
    world.put(NAME, world.keys["ed25519"].with_suffix(".pub").read_text())
    assert world.enters("certificates", world.certificate(*USER))
    assert not world.enters("certificates", None)
    assert world.enters("lines", None)


def test_the_plain_key_of_a_certificate_is_no_certificate(world: World) -> None:
    assert not world.enters("trusted", None)


def test_a_forced_command_and_the_original_one(world: World) -> None:
    force = ("-O", 'force-command=echo "$SSH_ORIGINAL_COMMAND!"; exit 3')
    done = alike(world.ssh("trusted", world.certificate(*USER, *force), "ls"))
    assert (done.returncode, done.stdout) == (3, b"ls!\n")
    done = alike(world.ssh("forced", world.certificate(*USER, *force), "ls"))
    assert done.stdout == b"of the configuration\n"


EXTENSIONS = ("permit-pty", "permit-user-rc", "permit-agent-forwarding", "permit-port-forwarding")


@pytest.mark.parametrize("kept", [*EXTENSIONS, None])
def test_what_a_certificate_permits(world: World, kept: str | None) -> None:
    only = [] if kept is None else ["-O", kept]
    certificate = world.certificate(*USER, "-O", "clear", *only)
    done = alike(world.ssh("trusted", certificate, "test -t 0 && echo terminal", flags=["-tt"]))
    assert (b"terminal" in done.stdout) is (kept == "permit-pty")
    with put(world.both.account.home / ".ssh" / "rc", "echo rc\n", world.user):
        done = alike(world.ssh("trusted", certificate, "true"))
    assert (done.stdout == b"rc\n") is (kept == "permit-user-rc")
    for login in world.both.logins.values():
        bind = ["-b", ADDRESSES["trusted"]]
        words = login.ssh(f"CertificateFile={certificate}", flags=[*bind, "-A"])
        done = run([require("ssh-agent"), *words, 'test -S "$SSH_AUTH_SOCK"'])
        assert (done.returncode == 0) is (kept == "permit-agent-forwarding")
        where = ["-W", f"127.0.0.1:{login.server.port}"]
        words = login.ssh(f"CertificateFile={certificate}", flags=[*bind, *where])
        through = run(words, input=b"SSH-2.0-probe\r\n").stdout.startswith(b"SSH-2.0-")
        assert through is (kept == "permit-port-forwarding")


def test_what_a_session_and_the_log_are_told(world: World) -> None:
    certificate = world.certificate(*USER, "-z", "77", "-I", "the id")
    log = world.both.logins["nacre"].server
    since = len(log.log)
    done = alike(world.ssh("trusted", certificate, 'cat "$SSH_USER_AUTH"'))
    text = " ".join(certificate.read_text().split()[:2])
    assert done.stdout.decode() == f"publickey {text}\n"
    line = log.wait_for(r"event=auth .*outcome=success", since=since).string
    authority = check([require("ssh-keygen"), "-lf", f"{world.authorities['ca']}.pub"]).split()[1]
    assert f"ID the id (serial 77) CA ssh-ed25519 {authority.decode()}" in line


def test_the_log_has_the_reason_of_a_refusal(world: World) -> None:
    log = world.both.logins["nacre"].server
    for options, reason in {
        (*USER, "-V", "-2d:-1d"): "the certificate has expired",
        ("-n", "other"): "is not among the certificate's principals",
        (*USER, "-O", "critical:unknown"): "critical option unknown is not known",
    }.items():
        since = len(log.log)
        world.enters("trusted", world.certificate(*options))
        log.wait_for(f"event=refused .*{reason}", since=since)


# --- principals ---


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("web\n", ("-n", "web"), "in"),
        ("# web\nother\n\n  web  # comment\n", ("-n", "db,web"), "in"),
        ("web\n", USER, None),
        ("{user}\n", USER, "in"),
        ("", USER, None),
        ("w*\n", ("-n", "web"), None),
        ('command="echo of the line" web\n', ("-n", "web"), "of the line"),
        ('from="192.0.2.1" web\nweb\n', ("-n", "web"), None),
        ('from="127.0.0.0/8",no-pty\tweb\n', ("-n", "web"), "in"),
        ("nonsense web\nweb\n", ("-n", "web"), "in"),
        ("cert-authority web\n", ("-n", "web"), None),
        ('expiry-time="20200101" web\n', ("-n", "web"), None),
        ("web\n", (), None),
        ("web\n", ("-n", "web", "-V", "-2d:-1d"), None),
        (
            'command="echo one" web\n',
            ("-n", "web", "-O", "force-command=echo two"),
            None,
        ),
        (
            'command="echo one" web\n',
            ("-n", "web", "-O", "force-command=echo one"),
            "one",
        ),
    ],
)
def test_a_file_of_principals(
    world: World, text: str, options: tuple[str, ...], expected: str | None
) -> None:
    world.put(PRINCIPALS, text)
    done = alike(world.ssh("file", world.certificate(*options), "echo in"))
    assert done.stdout.decode().strip() == (expected or "")


def test_a_file_of_principals_that_is_missing_or_not_safe(world: World) -> None:
    certificate = world.certificate(*USER)
    world.put(PRINCIPALS, "{user}\n")
    path = world.both.account.home / PRINCIPALS
    path.chmod(0o666)
    assert not world.enters("file", certificate)
    path.unlink()
    assert not world.enters("file", certificate)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("echo web", ("-n", "web"), "in"),
        ("echo web", USER, None),
        ("echo web; exit 1", ("-n", "web"), None),
        ("echo other; echo 'command=\"echo forced\" web'", ("-n", "web"), "forced"),
        ("exit 0", USER, None),
        ("echo $1 | tr -d ' '", ("-n", "aword"), "in"),
    ],
)
def test_a_command_that_prints_principals(
    world: World, text: str, options: tuple[str, ...], expected: str | None
) -> None:
    script(world, "principals", text)
    done = alike(world.ssh("command", world.certificate(*options), "echo in"))
    assert done.stdout.decode().strip() == (expected or "")


def test_a_command_comes_after_the_file(world: World) -> None:
    script(world, "principals", "echo web")
    world.put(PRINCIPALS, 'command="echo of the file" web\n')
    certificate = world.certificate("-n", "web")
    assert alike(world.ssh("both", certificate, "x")).stdout == b"of the file\n"
    world.put(PRINCIPALS, "other\n")
    assert world.enters("both", certificate)


@contextmanager
def shown_by(world: World, name: str) -> Iterator[list[str]]:
    """Have a program note its account, its environment and its arguments."""
    notes = world.scripts / "notes"
    notes.mkdir()
    notes.chmod(0o777)
    text = (
        f"out=$(mktemp -p {notes}); id -un >> $out; id -gn >> $out; pwd >> $out\n"
        'for word; do echo "$word" >> $out; done\n'
        "env | grep -v ^_= | grep -v ^PWD= | sort >> $out; cat >> $out\n"
    )
    script(world, name, text)
    found: list[str] = []
    try:
        yield found
        found += [path.read_text() for path in notes.iterdir()]
    finally:
        shutil.rmtree(notes)


@pytest.mark.parametrize(("case", "name"), [("command", "principals"), ("keys", "keys")])
def test_the_tokens_and_the_environment_of_a_command(world: World, case: str, name: str) -> None:
    certificate = world.certificate("-n", "web", "-I", "id 5%", "-z", "9")
    with shown_by(world, name) as found:
        assert not world.enters(case, certificate)
    # Both servers ask equally often. The ports of %C differ, and PATH is that of sshd's build.
    texts = [re.sub(r" [0-9]+(?= |$)|^PATH=.*", "", text, flags=re.MULTILINE) for text in found]
    assert texts, "nobody has asked"
    assert [text for text in texts if texts.count(text) % 2] == []


# --- AuthorizedKeysCommand ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat {key}", "in"),
        ("cat {other} {key}", "in"),
        ("printf 'command=\"echo forced\" '; cat {key}", "forced"),
        ("cat {key}; exit 1", None),
        ("cat {key}; kill -9 $$", None),
        ('echo nonsense; printf %s "$(cat {key})"', "in"),
        ("exit 0", None),
        ('test "$(id -un)" = nobody && cat {key}', "in"),
        ('test "$2" = {user} && cat {key}', "in"),
        ("head -c 300000 /dev/zero | tr '\\0' '#'; echo; cat {key}", "in"),
    ],
)
def test_a_command_that_prints_keys(world: World, text: str, expected: str | None) -> None:
    for name in ("ed25519", "rsa"):
        target = world.scripts / f"{name}.pub"
        shutil.copy(world.keys[name].with_suffix(".pub"), target)
        target.chmod(0o644)
    names = {"{key}": "ed25519.pub", "{other}": "rsa.pub"}
    for token, name in names.items():
        text = text.replace(token, str(world.scripts / name))
    script(world, "keys", text.replace("{user}", world.user))
    done = alike(world.ssh("keys", None, "echo in"))
    assert done.stdout.decode().strip() == (expected or "")


def test_a_command_without_arguments_gets_the_name(world: World) -> None:
    with shown_by(world, "others") as found:
        assert not world.enters("refused commands", None)
    assert {text.splitlines()[3] for text in found} == {world.user}


@pytest.mark.parametrize("fault", ["mode", "owner", "missing", "directory", "script of others"])
def test_a_command_that_others_could_change_is_not_run(world: World, fault: str) -> None:
    key = world.keys["ed25519"].with_suffix(".pub").read_text()
    path = script(world, "others", f"echo '{key.strip()}'\n")
    assert world.enters("refused commands", None)
    try:
        if fault == "mode":
            path.chmod(0o757)
        elif fault == "owner":
            shutil.chown(path, world.user)
        elif fault == "missing":
            path.unlink()
        elif fault == "directory":
            world.scripts.chmod(0o777)
        else:
            path.chmod(0o644)
        assert not world.enters("refused commands", None)
    finally:
        world.scripts.chmod(0o755)


# --- cert-authority lines ---


@pytest.mark.parametrize(
    ("line", "options", "expected"),
    [
        ("cert-authority {ca}", USER, "in"),
        ("{ca}", USER, None),
        ("cert-authority {other}", USER, None),
        ("cert-authority {ca}", ("-n", "web"), None),
        ("cert-authority {ca}", (), "in"),
        ('cert-authority,principals="web,db" {ca}', ("-n", "web"), "in"),
        ('cert-authority,principals="db" {ca}', USER, None),
        ('cert-authority,principals="db" {ca}', (), None),
        ('cert-authority,principals="db" {ca}\ncert-authority {ca}', USER, "in"),
        ("cert-authority {ca}", (*USER, "-V", "-2d:-1d"), None),
        ("cert-authority {ca}", (*USER, "-h"), None),
        ("cert-authority {ca}", (*USER, "-O", "critical:x"), None),
        ('cert-authority,from="192.0.2.1" {ca}', USER, None),
        ('cert-authority,expiry-time="20200101" {ca}', USER, None),
        ('cert-authority,command="echo line" {ca}', USER, "line"),
        ('cert-authority,command="echo a" {ca}', (*USER, "-O", "force-command=echo a"), "a"),
        ('cert-authority,command="echo a" {ca}', (*USER, "-O", "force-command=echo b"), None),
        ("cert-authority {ca}", (*USER, "-O", "force-command=echo b"), "b"),
    ],
)
def test_a_line_with_an_authority(
    world: World, line: str, options: tuple[str, ...], expected: str | None
) -> None:
    for name in ("ca", "other"):
        text = " ".join(Path(f"{world.authorities[name]}.pub").read_text().split()[:2])
        line = line.replace(f"{{{name}}}", text)
    world.put(NAME, line + "\n")
    done = alike(world.ssh("lines", world.certificate(*options), "echo in"))
    assert done.stdout.decode().strip() == (expected or "")


@pytest.mark.parametrize(
    ("line", "cleared", "terminal"),
    [("no-pty,", False, False), ("", True, False), ("", False, True)],
)
def test_a_line_and_a_certificate_permit_what_both_do(
    world: World, line: str, cleared: bool, terminal: bool
) -> None:
    authority = Path(f"{world.authorities['ca']}.pub").read_text().splitlines()[0]
    world.put(NAME, f"{line}cert-authority {authority}\n")
    certificate = world.certificate(*USER, *(["-O", "clear"] if cleared else []))
    done = alike(world.ssh("lines", certificate, "test -t 0 && echo terminal", flags=["-tt"]))
    assert (b"terminal" in done.stdout) is terminal


# --- revocation ---


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ("serial: 5\n", False),
        ("serial: 4\n", True),
        ("serial: 3-9\n", False),
        ("serial: 6-9\n", True),
        ("id: the id\n", False),
        ("id: another id\n", True),
        ("key: {key}\n", False),
        ("sha1: {key}\n", False),
        ("sha256: {key}\n", False),
        ("hash: {fingerprint}\n", False),
        ("key: {other}\n", True),
        ("key: {ca}\n", False),
        ("", True),
    ],
)
def test_revoked_by_a_krl(world: World, spec: str, allowed: bool) -> None:
    certificate = world.certificate(*USER, "-z", "5", "-I", "the id")
    key = world.keys["ed25519"].with_suffix(".pub")
    ca = Path(f"{world.authorities['ca']}.pub").read_text().splitlines()[0]
    fingerprint = check([require("ssh-keygen"), "-lf", key]).split()[1].decode()
    file = world.both.directory / "spec"
    names = {
        "{key}": key.read_text().strip(),
        "{other}": world.keys["rsa"].with_suffix(".pub").read_text().strip(),
        "{ca}": ca,
        "{fingerprint}": fingerprint,
    }
    for name, text in names.items():
        spec = spec.replace(name, text)
    file.write_text(spec)
    only_ca = world.both.directory / "only_ca.pub"
    only_ca.write_text(ca + "\n")
    revoked = world.scripts / "revoked"
    check([require("ssh-keygen"), "-q", "-k", "-f", revoked, "-s", only_ca, file])
    assert world.enters("revoked", certificate) is allowed


@pytest.mark.parametrize(
    ("own", "text", "allowed"),
    [
        ("the key", "{key}\n", False),
        ("the authority", "{ca}\n", False),
        ("another key", "# a comment\n{other}\n", True),
        ("nothing", "", True),
        ("missing", None, False),
        ("damaged", "SSHKRL\n\0 and no more", False),
        ("nonsense", "nonsense\n", False),
    ],
)
def test_revoked_by_a_list(world: World, own: str, text: str | None, allowed: bool) -> None:
    certificate = world.certificate(*USER)
    world.put(NAME, "")
    revoked = world.scripts / "revoked"
    revoked.unlink(missing_ok=True)
    key = world.keys["ed25519"].with_suffix(".pub").read_text()
    if text is not None:
        names = {
            "{key}": key.strip(),
            "{other}": world.keys["rsa"].with_suffix(".pub").read_text().strip(),
            "{ca}": Path(f"{world.authorities['ca']}.pub").read_text().splitlines()[0],
        }
        for name, value in names.items():
            text = text.replace(name, value)
        revoked.write_text(text)
    assert world.enters("revoked", certificate) is allowed
    # A plain key, too.
    world.put(NAME, key)
    assert world.enters("revoked", None) is (allowed or own == "the authority")
