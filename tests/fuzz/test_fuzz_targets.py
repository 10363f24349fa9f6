"""The targets of the fuzzers: their corpus is replayed, and each row of the table is whole."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.corpus import CORPUS, inputs
from fuzz.mutate import BUDGET, mutated, seeds
from fuzz.targets import BY_NAME, TARGETS
from nacre.client.sharing import messages as sharing

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)

PARSERS = [target.name for target in TARGETS if target.seeds is not None]


@pytest.mark.parametrize("name", PARSERS)
def test_the_corpus_and_what_is_near_to_it(name: str) -> None:
    run, kept = BY_NAME[name].run, inputs(name)
    assert kept
    for data in kept:
        run(data)
    for seed in seeds():
        draw = random.Random(seed)
        try:
            run(mutated(draw.choice(kept), draw))
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}")
            raise


@pytest.mark.parametrize("name", PARSERS)
def test_seeds_can_be_made_anew(name: str) -> None:
    target = BY_NAME[name]
    assert target.seeds is not None
    made = list(target.seeds())
    assert made
    for data in made:
        target.run(data)


def test_the_corpus_is_small_and_each_part_has_its_target() -> None:
    assert len(BY_NAME) == len(TARGETS)
    assert {path.name for path in CORPUS.iterdir()} == set(PARSERS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 200_000


def test_a_wrong_answer_of_a_parser_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sharing.encode
    other = sharing.encode(sharing.Failure(9, "something else"))
    monkeypatch.setattr(sharing, "encode", lambda message: other)
    hello = sharing.Hello(sharing.VERSION, b"")
    with pytest.raises(AssertionError):
        BY_NAME["sharing"].run(right(hello))


@pytest.mark.slow
def test_a_guided_run_ends_in_time_and_counts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.guided", "x11", "1", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert "DONE" in done.stderr
