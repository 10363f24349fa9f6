"""What a helper reads and writes, line by line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_it_ends_with_its_input() -> None:
    tests = Path(__file__).parents[4]
    source = tests.parent / "src"
    code = (
        f"import sys; sys.path[:0] = [{str(source)!r}, {str(tests)!r}]\n"
        "from daemon.accounts.directories.helpers.helper_stub import main; main()"
    )
    lines = [{"settings": {}, "rights": None}, {"deed": "refuse"}, {"deed": "fail"}, {}]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    refused, failed, wrong = map(json.loads, done.stdout.splitlines())
    assert refused == {"error": "it is refused"}
    assert failed == {"error": "the process that asks it failed (ValueError)"}
    assert wrong == {"error": "the process that asks it failed (KeyError)"}
