"""Run OpenSSH's regress suite with nacre's programs: scripts/regress.py --help

Debian's package ``openssh-tests`` installs the suite. Each test runs in a directory and in
namespaces of its own (network, processes, mounts): its ports are free, and nothing that it started
outlives it. The tests that are known to fail, with the reasons, are the table of
``docs/openssh.md``: the exit status is 1 where a test fails that the table does not have, and where
one passes that it has.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SUITE = Path("/usr/lib/openssh/regress")
PAGE = ROOT / "docs" / "openssh.md"
LOGS = ROOT / "build" / "regress"

PROGRAMS = {
    "ssh": "/usr/bin/ssh",
    "sftp": "/usr/bin/sftp",
    "scp": "/usr/bin/scp",
    "ssh-keygen": "/usr/bin/ssh-keygen",
    "ssh-agent": "/usr/bin/ssh-agent",
    "ssh-add": "/usr/bin/ssh-add",
    "ssh-keyscan": "/usr/bin/ssh-keyscan",
    "sshd": "/usr/sbin/sshd",
    "sftp-server": "/usr/lib/openssh/sftp-server",
}
"""The programs that the suite starts, and where the distribution has OpenSSH's."""

NACRES = Path(sys.executable).parent
"""Where nacre's are installed, as nacre-ssh and so on."""

SERVER = ("sshd", "sftp-server")
GROUPS = {
    "all": tuple(PROGRAMS),
    "client": tuple(name for name in PROGRAMS if name not in SERVER),
    "server": SERVER,
    "none": (),
}

LISTS = ("LTESTS", "INTEROP_TESTS", "REGRESS_TARGETS")
"""Variables of the suite's Makefile that list tests; those of the last are its targets."""

SECONDS = 600
"""The time limit of a test."""
LONG = {"rekey": 3600}
"""Tests that take minutes with OpenSSH's programs."""

IN_NAMESPACES = """
ip link set lo up 2>/dev/null || ifconfig lo up || exit
# What root's sessions start with on this machine is none of the tests' matter.
for file in .bashrc .bash_profile .bash_login .profile .ssh/rc .ssh/environment
do [ ! -f "$HOME/$file" ] || mount --bind /dev/null "$HOME/$file" || exit
done
cd "$OBJ" || exit
if [ -f "$1.sh" ]
then sh ./test-exec.sh "$OBJ" "$OBJ/$1.sh"
else make -s .OBJDIR="$OBJ" .CURDIR="$OBJ" "$1" && echo "ok $1"
fi
exit $?  # The shell is the first process of its namespace: the kernel ends the others with it.
"""


IN_COMMON = """#!/bin/sh
case " $* " in
*" -Q "*) "{theirs}" "$@" >"$OBJ/theirs"; "{ours}" "$@" | grep -Fxf "$OBJ/theirs"; exit 0 ;;
esac
exec "{chosen}" "$@"
"""
"""``ssh`` beside nacre's programs: its lists have what OpenSSH and nacre both implement. The tests
use each entry at both ends, and know the forms of OpenSSH's keys."""


NO_PENALTIES = "PerSourcePenalties no"
"""What the suite writes into the server's configuration since OpenSSH has penalties (9.8). Those of
nacre are on by default as well: an older suite, which connects many times from one address, would
be refused for a while."""


class Result(NamedTuple):
    """What came of a test: ``pass``, ``fail``, ``skip`` or ``time-out``, and why."""

    test: str
    outcome: str
    seconds: float
    why: str = ""


class Known(NamedTuple):
    """A row of the page: a test that fails where one of the programs is nacre's."""

    programs: frozenset[str]
    reason: str


def tests_of(makefile: str) -> list[str]:
    """Return the names of the tests in the suite's Makefile, in its order."""
    joined = makefile.replace("\\\n", " ")
    lists = [re.search(rf"^{name}=(.*)$", joined, re.MULTILINE) for name in LISTS]
    return [test for found in lists if found for test in found[1].split()]


def known_failures(page: str) -> dict[str, Known]:
    """Return the tests that the page says fail."""
    table = re.search(r"<!-- known failures -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert table, f"{PAGE.name} has no table of known failures"
    rows = re.findall(r"^\| `(\S+)` \| (.+?) \| (.+) \|$", table[1], re.MULTILINE)
    return {test: Known(frozenset(re.findall(r"[a-z-]+", who)), why) for test, who, why in rows}


def chosen_programs(words: Sequence[str]) -> frozenset[str]:
    """Return the programs that words name: of the program or of a group.

    Raises:
        SystemExit: A word is neither.
    """
    chosen: set[str] = set()
    for word in words:
        if word not in GROUPS and word not in PROGRAMS:
            raise SystemExit(
                f"no program or group is named {word}: use {', '.join([*GROUPS, *PROGRAMS])}"
            )
        chosen.update(GROUPS.get(word, (word,)))
    return frozenset(chosen)


def outcome_of(status: int, output: str) -> str:
    """Return what came of a test that ended with an exit status, and printed what it did."""
    if status == 0 and re.search(r"^ok( |$)", output, re.MULTILINE):
        return "pass"
    skipped = status == 0 and re.search("skip|not enabled", output, re.IGNORECASE)
    return "skip" if skipped else "fail"


def reason_of(output: str, log: str) -> str:
    """Return why a test did not pass: what its log says failed first, or its last line."""
    failed = re.search(r"^(?:FAIL|FATAL): (.*)$", log, re.MULTILINE)
    lines = output.strip().splitlines() or [""]
    return failed[1] if failed else lines[-1].removeprefix("SKIPPED: ")


class Runner:
    """Runs tests, each in a copy of the suite with keys made beforehand."""

    def __init__(self, work: Path, nacres: frozenset[str], limit: int | None) -> None:
        self._work = work
        self._limit = limit
        self._suite = work / "0"
        self._programs = {
            name: str(NACRES / f"nacre-{name}") if name in nacres else stock
            for name, stock in PROGRAMS.items()
        }
        if nacres:
            self._programs["ssh"] = str(self._in_common(self._programs["ssh"]))
        older = "PerSourcePenalties" not in (SUITE / "test-exec.sh").read_text()
        self._options = NO_PENALTIES if "sshd" in nacres and older else ""
        self._directories = 0

    def _in_common(self, chosen: str) -> Path:
        """Write the program that takes the place of ``ssh``, and return its path."""
        script = self._work / "ssh"
        ours = NACRES / "nacre-ssh"
        script.write_text(IN_COMMON.format(theirs=PROGRAMS["ssh"], ours=ours, chosen=chosen))
        script.chmod(0o755)
        return script

    def prepare(self) -> None:
        """Copy the suite, and have it make its keys, which the copies of the tests then use.

        Raises:
            SystemExit: The suite's own preparation fails, with which each test begins.
        """
        shutil.copytree(
            SUITE, self._suite, ignore=shutil.ignore_patterns("unittests", "fuzz-harness")
        )
        (self._suite / "prepare.sh").write_text("tid=prepare\n")
        (self._suite / "bin").mkdir()
        # One test wants telnet to open a connection and say nothing.
        (self._suite / "bin" / "telnet").symlink_to("../netcat")
        (self._suite / "bin" / "ssh").symlink_to(self._programs["ssh"])  # one test has no path
        result = self._run_in("prepare", self._suite)
        if result.outcome != "pass":
            raise SystemExit(f"each test would fail, as the keys could not be made: {result.why}")
        for log in self._suite.glob("*.log"):
            log.unlink()

    def run(self, test: str) -> Result:
        """Run a test in a directory of its own, which is removed."""
        self._directories += 1
        # Tests search configurations that hold the directory's name: it has none of their words.
        directory = self._work / str(self._directories)
        shutil.copytree(self._suite, directory, symlinks=True)
        try:
            return self._run_in(test, directory)
        finally:
            shutil.rmtree(directory)

    def _run_in(self, test: str, directory: Path) -> Result:
        (directory / "tmp").mkdir(exist_ok=True)
        (directory / "tmp").chmod(0o1777)
        started = time.monotonic()
        try:
            status, output = self._output(test, directory)
            outcome = outcome_of(status, output)
        except subprocess.TimeoutExpired as error:
            output = (error.output or b"").decode(errors="replace")
            outcome = "time-out"
        seconds = time.monotonic() - started
        if outcome == "pass":
            return Result(test, outcome, seconds)
        log = self._keep_logs(test, directory, output)
        return Result(test, outcome, seconds, reason_of(output, log))

    def _output(self, test: str, directory: Path) -> tuple[int, str]:
        namespaces = [
            "unshare",
            "--net",
            "--pid",
            "--mount",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        with open("/dev/zero", "rb") as zeros, tempfile.TemporaryFile(dir=self._work) as output:
            process = subprocess.Popen(
                [*namespaces, "sh", "-c", IN_NAMESPACES, "sh", test],
                stdin=zeros,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(directory),
                start_new_session=True,
            )
            try:
                process.wait(self._limit or LONG.get(test, SECONDS))
            except subprocess.TimeoutExpired as error:
                output.seek(0)
                error.output = output.read()
                raise
            finally:
                process.kill()
                process.wait()
            output.seek(0)
            return process.returncode, output.read().decode(errors="replace")

    def _environment(self, directory: Path) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("LANG", "TERM") if name in os.environ}
        programs = {
            f"TEST_SSH_{name.replace('-', '').upper()}": program
            for name, program in self._programs.items()
        }
        return {
            **inherited,
            **programs,
            "BUILDDIR": str(directory),
            "HOME": os.path.expanduser("~root"),
            "LOGNAME": "root",
            "NCBIN": str(directory / "netcat"),
            "OBJ": str(directory),
            "PATH": f"{directory}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
            "SUDO": "",
            "TEST_SHELL": "sh",
            "TEST_SSH_CONCH": "conch3",
            "TEST_SSH_ECC": "yes",
            "TEST_SSH_IPV6": "yes",
            "TEST_SSH_PLINK": "plink",
            "TEST_SSH_PUTTYGEN": "puttygen",
            "TEST_SSH_SSHD_CONFOPTS": self._options,
            "TEST_SSH_SSHD_AUTH": "/usr/lib/openssh/sshd-auth",  # OpenSSH 10's sshd has parts
            "TEST_SSH_SSHD_SESSION": "/usr/lib/openssh/sshd-session",
            "TEST_SSH_UNSAFE_PERMISSIONS": "1",
            "TMPDIR": str(directory / "tmp"),
            "USER": "root",
        }

    def _keep_logs(self, test: str, directory: Path, output: str) -> str:
        """Write what a test printed and logged to build/regress; return the log of its steps."""
        LOGS.mkdir(parents=True, exist_ok=True)
        texts = {"output": output}
        for name in ("regress", "ssh", "sshd"):
            failed, last = directory / f"failed-{name}.log", directory / f"{name}.log"
            kept = next((log for log in (failed, last) if log.exists()), None)
            texts[name] = kept.read_text(errors="replace") if kept else ""
        (LOGS / f"{test}.log").write_text(
            "".join(f"==== {name}\n{text}\n" for name, text in texts.items())
        )
        return texts["regress"]


def judged(result: Result, nacres: frozenset[str], known: dict[str, Known]) -> str:
    """Return what is unexpected about a result, or nothing."""
    expected = result.test in known and bool(known[result.test].programs & nacres)
    if result.outcome == "pass" and expected:
        return f"passes: take it off the table of docs/{PAGE.name}"
    if result.outcome in ("fail", "time-out") and not expected:
        return f"unexpected: see {LOGS.relative_to(ROOT)}/{result.test}.log"
    return ""


def report(results: Sequence[Result], nacres: frozenset[str], known: dict[str, Known]) -> int:
    """Print the sums and what was unexpected, and return the exit status."""
    outcomes = [result.outcome for result in results]
    sums = ", ".join(f"{outcomes.count(one)} {one}" for one in ("pass", "fail", "time-out", "skip"))
    print(f"{len(results)} tests in {sum(result.seconds for result in results):.0f} s: {sums}")
    strange = [(result.test, said) for result in results if (said := judged(result, nacres, known))]
    for test, said in strange:
        print(f"{test}: {said}")
    return 1 if strange else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run OpenSSH's regress suite with nacre's programs."
    )
    parser.add_argument(
        "--programs",
        default="all",
        metavar="WORDS",
        help=f"nacre's programs: of {', '.join(PROGRAMS)}, or {', '.join(GROUPS)} (default: all)",
    )
    parser.add_argument(
        "--only", default="", metavar="TESTS", help="names of tests (default: each)"
    )
    parser.add_argument(
        "--limit", type=int, metavar="SECONDS", help=f"limit of a test (default: {SECONDS})"
    )
    return parser.parse_args()


def main() -> int:
    """Run the tests that the command line names, and return the exit status."""
    arguments = _arguments()
    nacres = chosen_programs(arguments.programs.split() or ["all"])
    if not SUITE.exists():
        raise SystemExit(f"OpenSSH's tests are not in {SUITE}: apt-get install openssh-tests")
    if os.geteuid() != 0:
        raise SystemExit("the tests need namespaces and an sshd: run them as root")
    tests = tests_of((SUITE / "Makefile").read_text())
    if unknown := set(arguments.only.split()) - set(tests):
        raise SystemExit(f"the suite has no test {', '.join(sorted(unknown))}")
    known = known_failures(PAGE.read_text())
    results: list[Result] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    # Sockets' paths are short: they have at most 108 bytes.
    with tempfile.TemporaryDirectory(prefix="r-", dir="/tmp") as work:
        Path(work).chmod(0o755)
        runner = Runner(Path(work), nacres, arguments.limit)
        try:
            runner.prepare()
            for test in arguments.only.split() or tests:
                result = runner.run(test)
                results.append(result)
                print(
                    f"{result.test:20} {result.outcome:8} {result.seconds:7.1f}  {result.why}"[
                        :120
                    ],
                    flush=True,
                )
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            report(results, nacres, known)
            return 130
    return report(results, nacres, known)


if __name__ == "__main__":
    sys.exit(main())
