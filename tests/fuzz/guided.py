"""Fuzz one target: ``python -m fuzz.guided NAME SECONDS FOLDER``, one process for each.

With atheris, the coverage of nacre's code decides which inputs are kept and changed further;
without it, inputs of the corpus are changed at random. Either way a line ``#EXECUTIONS …`` of the
output says how far it came, as libFuzzer's do. FOLDER keeps what was found on the way, and a
finding as ``crash-…``; the process fails then.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from fuzz.corpus import CORPUS, inputs
from fuzz.mutate import mutated

LONGEST = 8192
"""Bytes of an input: enough for a machine's sixty steps."""


def _with_coverage(name: str, seconds: int, folder: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["nacre"]):
        run = _target(name)
        for data in inputs(name):
            run(data)  # what is imported on first use is instrumented, too
    found = folder / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    if not inputs(name):
        for seed in range(5):
            (found / f"seed-{seed}").write_bytes(random.Random(seed).randbytes(LONGEST))
    folders = [found, CORPUS / name]
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        "-timeout=60",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup([name, *options, *(str(one) for one in folders if one.exists())], run)
    atheris.Fuzz()


def _without_coverage(name: str, seconds: int, folder: Path) -> None:
    run, end, executions = _target(name), time.monotonic() + seconds, 0
    kept = inputs(name)
    draw = random.Random()
    while time.monotonic() < end:
        data = mutated(draw.choice(kept), draw) if kept else draw.randbytes(LONGEST)
        try:
            run(data)
        except BaseException:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"crash-{executions}").write_bytes(data)
            raise
        executions += 1
    print(f"#{executions} DONE", file=sys.stderr)


def _target(name: str) -> Callable[[bytes], None]:
    from fuzz.targets import BY_NAME

    return BY_NAME[name].run


def main() -> None:
    """Fuzz the target that the arguments name."""
    name, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    fuzz = _with_coverage if find_spec("atheris") else _without_coverage
    fuzz(name, seconds, folder)


if __name__ == "__main__":
    main()
