"""Fuzz every target in turn, and print a table: scripts/fuzzing.py --hours HOURS [NAME…]

The time is divided among the targets. First come those of tests/fuzz/targets.py, guided by coverage
where atheris is installed, then the test modules of tests/fuzz, which mutate whole conversations
from new seeds. build/fuzz keeps a folder for each target: its log, the inputs that it found, and
what failed (``crash-…``). NAME is part of the names of targets; the default is all.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
FOUND = ROOT / "build" / "fuzz"
sys.path[:0] = [str(ROOT / "src"), str(TESTS)]

_PROGRESS = re.compile(r"^#(\d+)\s+(INITED|DONE|NEW|REDUCE|pulse)(?:\s+cov: (\d+))?", re.MULTILINE)
_SLACK = 600
"""Seconds that a process may take longer than it was told to: a case that hangs is a finding."""


class Row(NamedTuple):
    """One line of the table.

    :ivar new: branches of nacre's code that the corpus of the repository does not reach; None where
        nothing measures them.
    """

    target: str
    seconds: float
    executions: int | None
    new: int | None
    findings: int

    def __str__(self) -> str:
        shown = ["-" if number is None else f"{number:,}" for number in self[2:]]
        return f"{self.target:<36} {self.seconds:>8.0f} {shown[0]:>12} {shown[1]:>9} {shown[2]:>9}"


HEAD = f"{'target':<36} {'seconds':>8} {'executions':>12} {'new edges':>9} {'findings':>9}"


def row_of(target: str, seconds: float, log: str, *, failed: bool) -> Row:
    """Return what the log of a process says."""
    progress = [(int(n), kind, cov and int(cov)) for n, kind, cov in _PROGRESS.findall(log)]
    covered = [cov for _, _, cov in progress if cov]
    first = next((cov for _, kind, cov in progress if kind == "INITED" and cov), None)
    new = covered[-1] - first if first is not None and isinstance(covered[-1], int) else None
    return Row(target, seconds, progress[-1][0] if progress else None, new, int(failed))


def targets() -> dict[str, list[str]]:
    """Return the arguments of the process for each target, by name; ``{}`` stands for seconds."""
    from fuzz.targets import TARGETS

    guided = {
        target.name: ["-m", "fuzz.guided", target.name, "{}", str(FOUND / target.name)]
        for target in TARGETS
    }
    modules = {
        path.stem.removeprefix("test_fuzz_"): ["-m", "pytest", "-q", "-x", str(path)]
        for path in sorted(TESTS.glob("fuzz/test_fuzz_*.py"))
        if path.stem != "test_fuzz_targets"
    }
    return {**guided, **{f"mutations: {name}": command for name, command in modules.items()}}


def tests_in(path: str) -> int:
    """Return how many tests a module has."""
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sum("::" in line for line in listed.stdout.splitlines())


def fuzz(name: str, command: list[str], seconds: int) -> Row:
    """Run the process of one target, and return its row."""
    folder = FOUND / name.replace(": ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*sys.path[:2], os.environ.get("PYTHONPATH", "")]),
        "NACRE_FUZZ_SEED": str(int(time.time())),
    }
    if "pytest" in command:
        environment["NACRE_FUZZ_SECONDS"] = str(seconds / max(1, tests_in(command[-1])))
    began = time.monotonic()
    log = folder / "log"
    with log.open("w") as written:
        try:
            status = subprocess.run(
                [sys.executable, *(word.format(seconds) for word in command)],
                cwd=ROOT,
                env=environment,
                stdout=written,
                stderr=subprocess.STDOUT,
                timeout=2 * seconds + _SLACK,
            ).returncode
        except subprocess.TimeoutExpired:
            status = 1
    took = time.monotonic() - began
    return row_of(name, took, log.read_text(errors="replace"), failed=status != 0)


def main() -> int:
    """Fuzz; return 1 if there was a finding."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, required=True, help="for all targets together")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    chosen = {
        name: command
        for name, command in targets().items()
        if not options.names or any(part in name for part in options.names)
    }
    if not chosen:
        parser.error(f"no target has such a name; there are: {', '.join(targets())}")
    seconds = max(1, int(options.hours * 3600 / len(chosen)))
    print(HEAD, flush=True)
    findings = 0
    for name, command in chosen.items():
        row = fuzz(name, command, seconds)
        print(row, flush=True)
        if row.findings:
            print(f"  see {FOUND.relative_to(ROOT) / name.replace(': ', '-')}", flush=True)
        findings += row.findings
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
