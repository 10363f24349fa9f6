"""The table of the fuzzers."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "fuzzing.py"))

GUIDED = """INFO: A corpus is not provided
#3\tINITED cov: 100 ft: 120 corp: 3/30b exec/s: 0 rss: 60Mb
#17\tNEW    cov: 104 ft: 130 corp: 4/40b lim: 4096 exec/s: 0 rss: 60Mb
#900\tDONE   cov: 111 ft: 140 corp: 5/50b lim: 4096 exec/s: 90 rss: 60Mb
Done 900 runs in 10 second(s)
"""


def test_a_guided_run_shows_executions_and_new_edges() -> None:
    row = SCRIPT["row_of"]("socks", 10.0, GUIDED, failed=False)
    assert row == ("socks", 10.0, 900, 11, 0)
    assert str(row).split() == ["socks", "10", "900", "11", "0"]


def test_a_run_without_coverage_shows_none() -> None:
    row = SCRIPT["row_of"]("mutations: wire", 3.0, "3 passed\n#4000 DONE\n", failed=True)
    assert row == ("mutations: wire", 3.0, 4000, None, 1)
    assert str(row).split()[-3:] == ["4,000", "-", "1"]


def test_every_module_and_every_row_is_a_target() -> None:
    names = SCRIPT["targets"]()
    assert {"socks", "machine-sftp", "mutations: wire"} <= set(names)
    assert not any("targets" in name for name in names)
