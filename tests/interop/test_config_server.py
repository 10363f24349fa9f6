"""``nacre-sshd -T`` beside ``sshd -T``: the same files and connections, the same settings."""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from interop.config_cases.case import Comparison, ConfigCase, Outcome
from interop.config_cases.generated import server_case
from interop.config_cases.programs import run_here, run_program, version_of
from interop.config_cases.server_lines import FILES, LINES
from interop.config_cases.server_values import (
    ALIASES,
    ONLY_GLOBAL,
    SINCE,
    VALUES,
    WITHOUT_EFFECT,
)
from interop.programs import NACRE, check, require, run
from nacre.cli.sshd.command import run as nacre_sshd

GENERATED = 120

_EMPTY = ConfigCase("empty", "", ())


def _named(cases: Iterable[ConfigCase]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


class Servers:
    """The two servers, with one host key.

    :param key: the host key's file.
    :param folder: where the defaults are asked for.
    """

    def __init__(self, key: Path, folder: Path) -> None:
        self._key = key
        self.comparison = Comparison(
            self.openssh(_EMPTY, folder).settings, self.nacre(_EMPTY, folder).settings
        )

    def words(self, case: ConfigCase, folder: Path) -> list[str]:
        """Return the command line of both."""
        return ["-T", "-f", str(case.write(folder)), "-h", str(self._key), *case.command(folder)]

    def openssh(self, case: ConfigCase, folder: Path) -> Outcome:
        """Return what OpenSSH makes of a case."""
        return run_program([require("sshd"), *self.words(case, folder)], folder)

    def nacre(self, case: ConfigCase, folder: Path) -> Outcome:
        """Return what nacre makes of a case."""
        return run_here(nacre_sshd, "nacre-sshd", self.words(case, folder), folder)

    def differences(self, case: ConfigCase, folder: Path) -> list[str]:
        """Return what differs; empty if nothing does."""
        theirs, ours = self.openssh(case, folder), self.nacre(case, folder)
        if (theirs.status == 0) != (ours.status == 0):
            return [
                f"status: OpenSSH {theirs.status}, nacre {ours.status}",
                *theirs.errors.splitlines(),
                *ours.errors.splitlines(),
            ]
        if theirs.status:
            return []
        known = {word: kept for word, kept in ours.settings.items() if _known(word)}
        return self.comparison.differences(theirs.settings, known)

    def check(self, case: ConfigCase, folder: Path) -> None:
        """Fail if anything differs."""
        if not case.suits(version_of("sshd")):
            pytest.skip("this version of OpenSSH does it otherwise")
        found = self.differences(case, folder)
        assert not found, "\n".join([f"{case.text!r} {case.words}", *found])


@functools.cache
def _known(keyword: str) -> bool:
    """Tell whether the installed OpenSSH knows a keyword."""
    said = run([require("sshd"), "-T", "-f", "/dev/null", "-o", f"{keyword}=x"]).stderr
    return b"Bad configuration option" not in said


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Servers:
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it
    folder = tmp_path_factory.mktemp("servers")
    check([require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"])
    return Servers(folder / "key", folder)


@_named(LINES)
def test_lines_and_blocks_are_read_alike(
    case: ConfigCase, servers: Servers, tmp_path: Path
) -> None:
    servers.check(case, tmp_path)


@_named(FILES)
def test_files_of_people_are_read_alike(case: ConfigCase, servers: Servers, tmp_path: Path) -> None:
    servers.check(case, tmp_path)


@pytest.mark.parametrize("keyword", VALUES)
def test_values_of_a_keyword_are_read_alike(keyword: str, servers: Servers, tmp_path: Path) -> None:
    """Every value that is taken is printed the same, and every other is an error for both."""
    if version_of("sshd") < SINCE.get(keyword, (0, 0)):
        pytest.skip("this version of OpenSSH does not know it")
    wrong = []
    for value in VALUES[keyword]:
        text = f"{keyword} {value}\n"
        found = servers.differences(ConfigCase(value, text, ()), tmp_path)
        wrong += [f"{text!r}: {each}" for each in found]
    assert not wrong, "\n".join(wrong)


def test_the_same_keywords_are_refused_in_a_block(servers: Servers, tmp_path: Path) -> None:
    wrong = []
    for line in ONLY_GLOBAL:
        case = ConfigCase(line, f"Match user nobody\n{line}\n", ())
        wrong += [f"{line}: {each}" for each in servers.differences(case, tmp_path)]
        assert servers.nacre(case, tmp_path).status != 0, line
    assert not wrong, "\n".join(wrong)


def test_older_names_of_keywords_are_read_alike(servers: Servers, tmp_path: Path) -> None:
    wrong = []
    for keyword, value in {**ALIASES, **dict.fromkeys(WITHOUT_EFFECT, "x y")}.items():
        case = ConfigCase(keyword, f"{keyword} {value}\n", ())
        wrong += [f"{keyword}: {each}" for each in servers.differences(case, tmp_path)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("seed", range(GENERATED))
def test_generated_files_are_read_alike(seed: int, servers: Servers, tmp_path: Path) -> None:
    servers.check(server_case(random.Random(seed)), tmp_path)


@_named(FILES[::4])
def test_the_program_prints_what_its_function_does(
    case: ConfigCase, servers: Servers, tmp_path: Path
) -> None:
    program = Path(NACRE[0]).with_name("nacre-sshd")
    assert run_program([program, *servers.words(case, tmp_path)], tmp_path) == servers.nacre(
        case, tmp_path
    )
