"""What a security key must attest: PubkeyAuthOptions, options of lines and of certificates.

sshd and nacre-sshd have the same configuration. One login offers four keys, whose signatures attest
nothing, that the user was verified, a touch, and both, in this order. The key that lets ``ssh`` in
says what a server asks for.

All keys have the same options: sshd adds up those of the keys that it refuses, too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.programs import check, require, sk_dummy
from interop.side_by_side import SERVERS, Both, alike, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root serves other accounts"),
]

KEYS = {
    "nothing": ("no-touch-required",),
    "verified": ("no-touch-required", "verify-required"),
    "touched": (),
    "both": ("verify-required",),
}
"""What the signatures of a key attest, and the options that make such a key."""

NAME = ".ssh/attested"
PRINCIPALS = ".ssh/principals"
OPTIONS = ("", "no-touch-required", "verify-required", "no-touch-required,verify-required")
"""Those of a line of authorized_keys, or of a certificate."""

WANTED = {
    "none": ("touched", "nothing", "both", "verified"),
    "touch-required": ("touched", "touched", "both", "both"),
    "verify-required": ("both", "verified", "both", "verified"),
    "touch-required verify-required": ("both", "both", "both", "both"),
}
"""By PubkeyAuthOptions, for each of ``OPTIONS``: the first key that is let in."""

BLOCKS = {
    **{words: f"PubkeyAuthOptions {words}" for words in WANTED},
    "principals": f"AuthorizedPrincipalsFile {PRINCIPALS}",
    "authority": "TrustedUserCAKeys none",
}
"""The line of a Match block for each address; a client binds to the one that it wants."""

ADDRESSES = {name: f"127.0.0.{number}" for number, name in enumerate(BLOCKS, 10)}


@dataclass(frozen=True)
class World:
    """The servers, and the keys that a login offers.

    :ivar directory: has the keys, named by what they attest, and their authority.
    """

    both: Both
    directory: Path

    def public(self, name: str) -> str:
        return (self.directory / f"{name}.pub").read_text().strip()

    def put(self, name: str, *lines: str) -> None:
        """Write a file of the account's."""
        path = self.both.account.home / name
        path.write_text("".join(f"{line}\n" for line in lines))
        shutil.chown(path, self.both.account.name)

    def authorize(self, options: str) -> None:
        """Write a line with these options for each key."""
        self.put(NAME, *(f"{options} {self.public(name)}".strip() for name in KEYS))

    def certify(self, options: str) -> list[str]:
        """Make a certificate of each key; return the options that have ``ssh`` show them."""
        words = [f"-O{option}" for option in options.split(",") if option]
        tool = [require("ssh-keygen"), "-q", "-s", self.directory / "ca"]
        publics = [self.directory / f"{name}.pub" for name in KEYS]
        check([*tool, "-I", "id", "-n", self.both.account.name, *words, *publics])
        return [f"CertificateFile={self.directory / name}-cert.pub" for name in KEYS]

    def first(self, case: str, shown: Sequence[str] = ()) -> str:
        """Return what the first key attests that lets in; that both servers agree is checked."""
        options = [
            f"SecurityKeyProvider={sk_dummy()}",
            "BatchMode=yes",
            "PubkeyAuthentication=yes",
            "IdentitiesOnly=yes",
            *(f"IdentityFile={self.directory / name}" for name in KEYS),
            *shown,
        ]
        done = alike(
            self.both.ssh("cat $SSH_USER_AUTH", options=options, flags=["-b", ADDRESSES[case]])
        )
        used = done.stdout.decode().split()[2]
        files = [self.directory.glob(f"{name}*.pub") for name in KEYS]
        return next(
            name
            for name, found in zip(KEYS, files, strict=True)
            if any(used in file.read_text() for file in found)
        )


@pytest.fixture(scope="module")
def world(
    system_account: Account, host_keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    provider = sk_dummy()
    directory = tmp_path_factory.mktemp("attested")
    keygen = [require("ssh-keygen"), "-q", "-N", ""]
    check([*keygen, "-t", "ed25519", "-f", directory / "ca"])
    for (name, options), type in zip(KEYS.items(), ["ed25519-sk", "ecdsa-sk"] * 2, strict=True):
        words = [f"-O{option}" for option in options]
        check([*keygen, "-t", type, *words, "-f", directory / name], SSH_SK_PROVIDER=provider)
    config = [
        "UsePAM no",
        "ExposeAuthInfo yes",
        f"AuthorizedKeysFile {NAME}",
        f"TrustedUserCAKeys {directory / 'ca.pub'}",
    ]
    for name, line in BLOCKS.items():
        config += [f"Match Address {ADDRESSES[name]}", line]
    with ExitStack() as stack:
        logins = {}
        for server in SERVERS:
            daemon = start(server, directory, host_keys["ed25519"], config)
            stack.callback(daemon.stop)
            own = directory / f"client-{server}"
            own.mkdir()
            logins[server] = Login(daemon, system_account.name, own)
        yield World(Both(logins, system_account, directory), directory)


@pytest.mark.parametrize("words", WANTED)
def test_lines_with_options(world: World, words: str) -> None:
    for options, wanted in zip(OPTIONS, WANTED[words], strict=True):
        world.authorize(options)
        assert world.first(words) == wanted, options


@pytest.mark.parametrize("words", ["none", "touch-required verify-required"])
def test_certificates_with_options(world: World, words: str) -> None:
    world.put(NAME)
    for options, wanted in zip(OPTIONS, WANTED[words], strict=True):
        assert world.first(words, world.certify(options)) == wanted, options


@pytest.mark.parametrize(
    ("certified", "line", "wanted"),
    [
        ("no-touch-required", "no-touch-required", "nothing"),
        ("no-touch-required", "", "touched"),
        ("", "no-touch-required", "touched"),
        ("no-touch-required", "no-touch-required,verify-required", "verified"),
    ],
)
def test_a_certificate_and_a_line_ask_for_what_either_does(
    world: World, certified: str, line: str, wanted: str
) -> None:
    shown = world.certify(certified)
    more = f",{line}" if line else ""
    world.put(NAME, f"cert-authority{more} {world.public('ca')}")
    world.put(PRINCIPALS, f"{line} {world.both.account.name}".strip())
    assert [world.first(case, shown) for case in ("authority", "principals")] == [wanted] * 2
