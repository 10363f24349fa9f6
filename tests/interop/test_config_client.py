"""``nacre ssh -G`` beside ``ssh -G``: the same files and destinations, the same settings."""

from __future__ import annotations

import functools
import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from interop.config_cases.case import Comparison, ConfigCase, Outcome
from interop.config_cases.client_files import CANONICAL, FILES, HOSTS
from interop.config_cases.client_lines import LINES, STRICTER
from interop.config_cases.client_values import (
    ALIASES,
    EXPANDED,
    MARKS,
    SINCE,
    VALUES,
    WITHOUT_EFFECT,
)
from interop.config_cases.generated import client_case
from interop.config_cases.programs import run_here, run_program, version_of
from interop.programs import NACRE, require, run
from nacre.cli.ssh.command import run as nacre_ssh

GENERATED = 200

_EMPTY = ConfigCase("empty", "")


def _named(cases: Iterable[ConfigCase]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def _words(case: ConfigCase, folder: Path) -> list[str]:
    # Without -T, ssh warns that its input is no terminal.
    return ["-T", "-G", "-F", str(case.write(folder)), *case.command(folder)]


def _openssh(case: ConfigCase, folder: Path) -> Outcome:
    return run_program([require("ssh"), *_words(case, folder)], folder)


def _nacre(case: ConfigCase, folder: Path) -> Outcome:
    return run_here(nacre_ssh, "ssh", _words(case, folder), folder)


@functools.cache
def _known(keyword: str) -> bool:
    """Tell whether the installed OpenSSH knows a keyword."""
    said = run([require("ssh"), "-G", "-F", "none", "-o", f"{keyword}=x", "h"]).stderr
    return b"Bad configuration option" not in said


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """What compares two settings, with the defaults of both programs."""
    folder = tmp_path_factory.mktemp("defaults")
    return Comparison(_openssh(_EMPTY, folder).settings, _nacre(_EMPTY, folder).settings)


def _differences(comparison: Comparison, theirs: Outcome, ours: Outcome) -> list[str]:
    if (theirs.status == 0) != (ours.status == 0):
        return [
            f"status: OpenSSH {theirs.status}, nacre {ours.status}",
            *theirs.errors.splitlines(),
            *ours.errors.splitlines(),
        ]
    if theirs.status:
        return []
    known = {word: kept for word, kept in ours.settings.items() if _known(word)}
    return comparison.differences(theirs.settings, known)


def _check(comparison: Comparison, case: ConfigCase, folder: Path) -> None:
    if not case.suits(version_of("ssh")):
        pytest.skip("this version of OpenSSH does it otherwise")
    found = _differences(comparison, _openssh(case, folder), _nacre(case, folder))
    assert not found, "\n".join([f"{case.text!r} {case.words}", *found])


@_named(LINES)
def test_lines_and_blocks_are_read_alike(
    case: ConfigCase, comparison: Comparison, tmp_path: Path
) -> None:
    _check(comparison, case, tmp_path)


@pytest.mark.parametrize("name", STRICTER)
def test_what_nacre_refuses_though_openssh_takes_it(name: str, tmp_path: Path) -> None:
    text, said = STRICTER[name]
    case = ConfigCase(name, text)
    assert _openssh(case, tmp_path).status == 0
    ours = _nacre(case, tmp_path)
    assert ours.status == 255
    assert said in ours.errors


@_named(FILES)
def test_files_of_people_are_read_alike(
    case: ConfigCase, comparison: Comparison, tmp_path: Path
) -> None:
    _check(comparison, case, tmp_path)


@pytest.mark.parametrize("keyword", VALUES)
def test_values_of_a_keyword_are_read_alike(
    keyword: str, comparison: Comparison, tmp_path: Path
) -> None:
    """Every value that is taken is printed the same, and every other is an error for both."""
    if version_of("ssh") < SINCE.get(keyword, (0, 0)):
        pytest.skip("this version of OpenSSH does not know it")
    wrong = []
    for value in VALUES[keyword]:
        text = f"{keyword} {value}\n".replace("{keyword}", keyword)
        case = ConfigCase(value, text)
        found = _differences(comparison, _openssh(case, tmp_path), _nacre(case, tmp_path))
        wrong += [f"{text!r}: {each}" for each in found]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("keyword", EXPANDED)
def test_tokens_and_variables_are_expanded_alike(
    keyword: str, comparison: Comparison, tmp_path: Path
) -> None:
    wrong = []
    for mark in MARKS:
        case = ConfigCase(mark, f"{keyword} {EXPANDED[keyword].replace('{}', mark)}\n")
        found = _differences(comparison, _openssh(case, tmp_path), _nacre(case, tmp_path))
        wrong += [f"{case.text!r}: {each}" for each in found]
    assert not wrong, "\n".join(wrong)


def test_older_names_of_keywords_are_read_alike(comparison: Comparison, tmp_path: Path) -> None:
    wrong = []
    words = {**ALIASES, **dict.fromkeys(WITHOUT_EFFECT, "x y")}
    for keyword, value in words.items():
        case = ConfigCase(keyword, f"{keyword} {value}\n")
        found = _differences(comparison, _openssh(case, tmp_path), _nacre(case, tmp_path))
        wrong += [f"{keyword}: {each}" for each in found]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("seed", range(GENERATED))
def test_generated_files_are_read_alike(seed: int, comparison: Comparison, tmp_path: Path) -> None:
    _check(comparison, client_case(random.Random(seed)), tmp_path)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that runs another where only the names of ``HOSTS`` are known."""
    file = tmp_path_factory.mktemp("hosts") / "hosts"
    file.write_text(HOSTS)
    file.chmod(0o644)
    mount = f'mount --bind "{file}" /etc/hosts && exec "$@"'
    command = [require("unshare"), "--mount", "sh", "-c", mount, "sh"]
    if os.geteuid() or run([*command, "true"]).returncode:
        pytest.skip("only root can mount another list of hosts")
    return command


@_named(CANONICAL)
def test_names_are_made_canonical_alike(
    case: ConfigCase, comparison: Comparison, hosts: list[str], tmp_path: Path
) -> None:
    """Both run as programs: the names that they know can't be changed otherwise."""
    words = _words(case, tmp_path)
    theirs = run_program([*hosts, require("ssh"), *words], tmp_path)
    ours = run_program([*hosts, *NACRE, "ssh", *words], tmp_path)
    found = _differences(comparison, theirs, ours)
    assert not found, "\n".join([str(case.text), *found])


@_named([*FILES[::9], *(case for case in LINES if case.name == "line-latin-1")])
def test_the_program_prints_what_its_function_does(case: ConfigCase, tmp_path: Path) -> None:
    words = _words(case, tmp_path)
    program = shutil.which("nacre-ssh", path=str(Path(NACRE[0]).parent))
    assert program
    assert run_program([program, *words], tmp_path) == _nacre(case, tmp_path)
