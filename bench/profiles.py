"""Where the time of a download by SFTP and of logins goes: cProfile of both ends, on the page.

The profiler makes every call dearer than it is, small functions most of all: what it says is which
functions matter, not how long they take.
"""

from __future__ import annotations

import contextlib
import cProfile
import io
import json
import os
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.ground import AES, ENDS, MIB, ROOT, Ground, Size, environment
from bench.report import replace_part

LINES = 18
JOBS: dict[str, dict[str, object]] = {
    "sftp-get of 512 MiB": {"do": "get"},
    "200 logins, 20 at a time": {"do": "login", "count": 200, "at_once": 20},
}


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3:])
        return
    parts = []
    for title, job in JOBS.items():
        directory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        with (
            tempfile.TemporaryDirectory(prefix="nacre-profile-", dir=directory) as name,
            Ground(Size.of(512), Path(name)) as ground,
        ):
            parts += measure(ground, title, job)
    replace_part("profiles", "\n\n".join(parts))


def measure(ground: Ground, title: str, job: dict[str, object]) -> list[str]:
    """Return the profiles of both ends as parts of a page."""
    at_server, at_client = ground.directory / "server.prof", ground.directory / "client.prof"

    server = ground.start_nacre(
        [sys.executable, "-m", "bench.profiles", "serve", at_server, "serve"]
    )
    with server:
        blob = ground.blob(512 * MIB)
        what = {
            "port": server.port,
            "user": "bench",
            "key": str(ground.key),
            "cipher": AES,
            "remote": str(blob),
            "local": str(ground.files / "copy"),
            **job,
        }
        client = [sys.executable, "-m", "cProfile", "-o", str(at_client)]
        subprocess.run(
            [*client, str(ENDS / "nacre_client.py"), json.dumps(what)],
            check=True,
            stdout=subprocess.DEVNULL,
            env=environment(),
            timeout=300,
        )
    return [
        f"### {title}: the client",
        table(at_client),
        f"### {title}: the server",
        table(at_server),
    ]


def serve(output: str, words: list[str]) -> None:
    """Run ``nacre serve`` under the profiler."""
    from nacre.cli.subcommands import command

    profile = cProfile.Profile()
    with contextlib.suppress(SystemExit):
        profile.runcall(command, words, standalone_mode=False)
    profile.dump_stats(output)


def table(path: Path) -> str:
    """Return the functions that took most of the time themselves."""
    text = io.StringIO()
    stats = pstats.Stats(str(path), stream=text)
    stats.sort_stats("tottime").print_stats(LINES)
    lines = text.getvalue().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.lstrip().startswith("ncalls"))
    kept = [line.replace(f"{ROOT}/src/", "") for line in lines[begin:] if line.strip()]
    kept = [line.replace(os.path.dirname(os.__file__) + "/", "") for line in kept]
    return "```text\n" + "\n".join(kept) + "\n```"


if __name__ == "__main__":
    main()
