"""The files for those who run a server: units of systemd, and logrotate's configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nacre.cli.serve.command import command

DEPLOY = Path(__file__).parent.parent / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
ALL_UNITS = sorted((DEPLOY / "systemd").iterdir())


def started(unit: Path) -> list[str]:
    """Return the words behind ``nacre serve``."""
    (line,) = re.findall(r"^ExecStart=.* nacre serve (.*)$", unit.read_text(), re.MULTILINE)
    return str(line).split()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_server_knows_the_options(unit: Path) -> None:
    # click keeps a command's help option as the first context has it: the settings belong here.
    with click.Context(command, **command.context_settings) as context:
        command.parse_args(context, started(unit))
    assert context.params["log_to"] == "journal"


def test_a_service_with_a_socket_leaves_to_it_where_to_listen() -> None:
    sockets = {unit.stem for unit in ALL_UNITS if unit.suffix == ".socket"}
    assert sockets == {"nacre-serve"}
    for unit in UNITS:
        assert ("--listen" in started(unit)) == (unit.stem not in sockets)


@pytest.mark.parametrize("unit", ALL_UNITS, ids=lambda unit: unit.name)
def test_systemd_knows_the_settings(unit: Path) -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("systemd is not installed")
    words = [analyse, "verify", "--man=no", str(unit)]
    where = {**os.environ, "SYSTEMD_UNIT_PATH": f"{unit.parent}:"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, env=where)
    # The account of the unit, and /sbin/init of a machine without it, are no matter here.
    wrong = [line for line in done.stderr.splitlines() if unit.name in line]
    assert wrong == []


def test_logrotate_knows_the_configuration(tmp_path: Path) -> None:
    program = shutil.which("logrotate", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("logrotate is not installed")
    words = [program, "--debug", "--state", str(tmp_path / "state"), str(DEPLOY / "logrotate")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50)
    assert (done.returncode, "error:" in done.stderr) == (0, False), done.stderr


def test_the_linter_of_container_files_has_nothing_to_say() -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
        "hadolint"
    )
    if linter is None:
        pytest.skip("hadolint is not installed")
    words = [linter, "--no-color", str(DEPLOY / "Containerfile")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_starts_what_there_is() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    (line,) = re.findall(r'^CMD \["serve", (.*)\]$', text, re.MULTILINE)
    with click.Context(command, **command.context_settings) as context:
        command.parse_args(context, [word.strip('" ') for word in line.split(",")])
    assert context.params["addresses"] == (("", 2222),)


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_the_scripts_of_the_package_are_shell(name: str) -> None:
    done = subprocess.run(["sh", "-n", DEPLOY / "debian" / name], capture_output=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("here", "said"),
    [((), "nothing here builds images"), (("docker",), "its daemon is not"), (("podman",), "")],
)
def test_an_image_is_built_by_what_is_there(
    tmp_path: Path, here: tuple[str, ...], said: str
) -> None:
    for program in ("dirname", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program) or program)
    for builder in here:
        fake = "[ $1 != version ] || exit 1; echo $0 $*"
        (tmp_path / builder).write_text(f"#!{shutil.which('sh')}\n{fake}\n")
        (tmp_path / builder).chmod(0o755)
    script = DEPLOY.parent / "scripts" / "image"
    done = subprocess.run(
        [tmp_path / "sh", script, "made"],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PATH": str(tmp_path)},
    )
    assert (done.returncode == 0) == (said == "")
    assert said in done.stderr
    if not said:
        assert "--file deploy/Containerfile --tag made ." in done.stdout


def test_haproxy_knows_the_configuration(tmp_path: Path) -> None:
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("haproxy is not installed")
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    path = tmp_path / "haproxy.cfg"
    path.write_text(re.sub(r" web\d:2222", " 127.0.0.1:2222", text))  # names are looked up
    done = subprocess.run([program, "-c", "-f", path], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_nodes_of_the_compose_file_know_their_options() -> None:
    yaml = pytest.importorskip("yaml")
    made = yaml.safe_load((DEPLOY / "haproxy" / "compose.yaml").read_text())
    nodes = [one for one in made["services"].values() if one["image"] == "nacre"]
    assert [one["hostname"] for one in nodes] == ["web1", "web2", "web3"]
    for node in nodes:
        program, *words = node["command"]
        assert program == "serve"
        environment = node["environment"]
        with click.Context(command, **command.context_settings) as context:
            command.parse_args(context, [*words, "--store", environment["NACRE_STORE"]])
        assert context.params["addresses"] == (("", 2222),)
        assert int(node["stop_grace_period"].removesuffix("s")) > context.params["drain"]
