"""The results as text, JSON, a page and a chart."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.chart import chart
from bench.ground import PEERS_PYTHON, ROOT
from bench.measure import Result

PAGE = ROOT / "docs" / "performance.md"
DATA = ROOT / "docs" / "performance.json"
CHART = ROOT / "docs" / "performance.svg"

Record = dict[str, Any]


def record(result: Result) -> Record:
    """Return what is kept of a workload's last run."""
    workload = result.workload
    return {
        "about": workload.about,
        "unit": workload.unit,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load": round(os.getloadavg()[1], 1),
        "rounds": len(next(iter(result.figures.values()))),
        "figures": {name: [round(f, 4) for f in fs] for name, fs in result.figures.items()},
        "ratios": [
            {
                "ours": ratio.ours,
                "peer": ratio.peer,
                "median": round(ratio.median, 3),
                "least": round(min(ratio.ratios), 3),
                "most": round(max(ratio.ratios), 3),
                "bar": ratio.bar,
                "stretch": ratio.stretch,
                "at_most": ratio.at_most,
            }
            for ratio in result.ratios()
        ],
        "targets": [
            {
                "ours": target.ours,
                "median": round(statistics.median(result.figures[target.ours]), 3),
                "least": round(min(result.figures[target.ours]), 3),
                "most": round(max(result.figures[target.ours]), 3),
                "bar": target.bar,
                "stretch": target.stretch,
                "at_most": target.at_most,
            }
            for target in workload.targets
        ],
    }


def text(result: Result) -> str:
    """Return the lines that the terminal shows."""
    kept = record(result)
    lines = [f"{result.workload.name}: {kept['about']}"]
    for name, figures in kept["figures"].items():
        lines.append(f"  {name:22} {statistics.median(figures):10.4g} {kept['unit']}")
    lines += [
        f"  {r['ours']} / {r['peer']}: {_spread(r)}  {_verdict(r)}".rstrip() for r in kept["ratios"]
    ]
    lines += [f"  {t['ours']}: {_spread(t)}  {_verdict(t)}" for t in kept["targets"]]
    return "\n".join(lines)


def _spread(ratio: Record) -> str:
    return f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})"


def _verdict(ratio: Record) -> str:
    if ratio["bar"] is None:
        return ""
    met = ratio["median"] <= ratio["bar"] if ratio["at_most"] else ratio["median"] >= ratio["bar"]
    sign = "≤" if ratio["at_most"] else "≥"
    return f"{sign} {ratio['bar']:g}: {'yes' if met else 'no'}"


def keep(name: str, result: Result) -> None:
    """Put a workload's record in the place of its last one."""
    data = _data()
    data["workloads"][name] = record(result)
    DATA.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def _data() -> Record:
    data: Record = json.loads(DATA.read_text()) if DATA.exists() else {"workloads": {}}
    data["machine"] = machine()
    data["versions"] = versions()
    return data


def machine() -> str:
    model = platform.processor() or platform.machine()
    memory = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            memory = f", {int(line.split()[1]) >> 20} GiB"
    return f"{os.cpu_count()} cores of {model}{memory}; Linux {platform.release()}"


def versions() -> dict[str, str]:
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
    ask = "from importlib.metadata import version as v; print(v('asyncssh'), v('paramiko'))"
    peers = subprocess.run(
        [PEERS_PYTHON, "-c", ask], capture_output=True, text=True, check=True
    ).stdout.split()
    commit = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "nacre": f"{version('nacre')} ({commit})" if commit else version("nacre"),
        "OpenSSH": ssh.split(",")[0].split()[0].removeprefix("OpenSSH_"),
        "AsyncSSH": peers[0],
        "Paramiko": peers[1],
        "cryptography": version("cryptography"),
        "Python": platform.python_version(),
    }


# --- the page ---


def write() -> None:
    """Write the page's generated part, and the chart, from the JSON."""
    data = json.loads(DATA.read_text())
    replace_part("results", _results(data))
    CHART.write_text(chart(data["workloads"]))


def replace_part(name: str, content: str) -> None:
    """Replace what stands between a pair of markers on the page."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = PAGE.read_text()
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE} has no part {name}")
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", page))


def _results(data: Record) -> str:
    parts = [
        f"Measured on {data['machine']}. "
        + ", ".join(f"{name} {number}" for name, number in data["versions"].items())
        + ".",
        "### Ratios",
        "| workload | ratio of | to | median (least to most) | bar | stretch | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    table = []
    for name, kept in data["workloads"].items():
        table += [_row(name, ratio, ratio["peer"]) for ratio in kept["ratios"]]
        table += [_row(name, target, kept["unit"]) for target in kept["targets"]]
    parts[2:] = ["\n".join(parts[2:] + table)]
    parts.append("### Figures")
    figures = ["| workload | ends | median | least | most | unit |", "|---|---|---|---|---|---|"]
    for name, kept in data["workloads"].items():
        for ends, values in kept["figures"].items():
            shown = " | ".join(f"{f(values):.4g}" for f in (statistics.median, min, max))
            figures.append(f"| {name} | {ends} | {shown} | {kept['unit']} |")
    parts.append("\n".join(figures))
    parts.append("### Workloads")
    parts.append(
        "\n".join(
            f"- **{name}**: {kept['about']}. {kept['rounds']} rounds, {kept['date']}"
            + (f", load average {kept['load']}." if "load" in kept else ".")
            for name, kept in data["workloads"].items()
        )
    )
    return "\n\n".join(parts)


def _row(name: str, ratio: Record, to: str) -> str:
    if ratio["bar"] is None:
        bars = " | | |"
    else:
        sign = "≤" if ratio["at_most"] else "≥"
        reached = _verdict(ratio).rpartition(" ")[2]
        stretch = "" if ratio["stretch"] is None else f"{sign} {ratio['stretch']:g}"
        bars = f" {sign} {ratio['bar']:g} | {stretch} | {reached} |"
    return f"| {name} | {ratio['ours']} | {to} | {_spread(ratio)} |{bars}"
