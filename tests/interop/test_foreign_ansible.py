"""Ansible's connection plugin, with Ansible and ``nacre serve``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from interop.clients import PASSWORD, Login
from interop.peers import ANSIBLE_PLUGIN, FOREIGN, INSTALLED
from interop.programs import run
from nacre.compat.ansible import PLUGINS

SUDO = f"""#!/bin/sh
while [ "$1" != "${{1#-}}" ]; do
  case "$1" in
    -p) printf '%s' "$2" >&2; shift ;;
    -u) shift ;;
  esac
  shift
done
read -r given
if [ "$given" != {PASSWORD!r} ]; then
  printf 'Sorry, try again.\\nsudo: 1 incorrect password attempt\\n' >&2
  exit 1
fi
BECAME=yes exec "$@"
"""
"""Asks for a password as ``sudo -S -p PROMPT`` does."""


def play(
    directory: Path, hosts: dict[str, dict[str, Any]], *words: str, playbook: Path
) -> tuple[int, str]:
    """Run a playbook, and wait until the broker has ended; return the exit status and the text."""
    inventory = directory / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    environment: dict[str, Any] = {
        "ANSIBLE_CONNECTION_PLUGINS": PLUGINS,
        "ANSIBLE_HOME": str(directory / "ansible"),
        "ANSIBLE_NACRE_DIRECTORY": str(directory / "broker"),
        "ANSIBLE_NACRE_PERSIST": "1",
        "HOME": str(directory),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(Path(PLUGINS).parents[3]),
    }
    program = INSTALLED / "bin" / "ansible-playbook"
    done = run([program, "-i", inventory, *words, playbook], timeout=120, **environment)
    until = time.monotonic() + 60
    while list((directory / "broker").glob("broker-*[0-9]")):
        assert time.monotonic() < until, "the broker does not end"
        time.sleep(0.02)
    return done.returncode, (done.stdout + done.stderr).decode()


def host(login: Login, **more: object) -> dict[str, Any]:
    """Return what the inventory says of a host."""
    return {
        "ansible_connection": "nacre",
        "ansible_host": "127.0.0.1",
        "ansible_port": login.server.port,
        "ansible_user": login.user,
        "ansible_nacre_config_file": "none",
        "ansible_nacre_options": [f"UserKnownHostsFile={login.directory / 'known_hosts'}"],
        "ansible_host_key_checking": False,
        "ansible_remote_tmp": str(login.directory / "remote"),
        "ansible_python_interpreter": sys.executable,
        **more,
    }


def test_a_playbook(to_nacre: Login, tmp_path: Path, record_property: Any) -> None:
    ANSIBLE_PLUGIN.record("client", record_property)
    sudo, source, there = tmp_path / "sudo", tmp_path / "source", tmp_path / "there"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    source.write_bytes(os.urandom(100_000))
    there.mkdir()
    told = {
        "ansible_become_exe": str(sudo),
        "ansible_become_password": PASSWORD,
        "source": str(source),
        "there": str(there),
        "back": str(tmp_path / "back"),
    }
    hosts = {
        "by_password": host(to_nacre, ansible_password=PASSWORD, **told),
        "by_key": host(
            to_nacre,
            ansible_ssh_private_key_file=str(to_nacre.key),
            ansible_pipelining=False,
            **told,
        ),
    }
    status, text = play(tmp_path, hosts, playbook=FOREIGN / "plugin.yml")
    assert status == 0, text
    for name in hosts:
        assert (tmp_path / "back" / name).read_bytes() == source.read_bytes()
        assert (there / name).stat().st_mode & 0o777 == 0o640


def test_hosts_that_can_not_be_reached_say_why(to_nacre: Login, tmp_path: Path) -> None:
    ANSIBLE_PLUGIN.source()  # skips without Ansible
    hosts = {
        "password": host(to_nacre, ansible_password="wrong"),
        "port": host(to_nacre, ansible_port=1),
        # A file of its own: the login that checks no key adds the key to the other one.
        "key": host(
            to_nacre,
            ansible_host_key_checking=True,
            ansible_nacre_options=[f"UserKnownHostsFile={tmp_path / 'unknown'}"],
        ),
    }
    status, text = play(tmp_path, hosts, playbook=FOREIGN / "plugin.yml")
    assert status == 4, text
    told = {
        line.partition("[")[2].partition("]")[0]: line
        for line in text.splitlines()
        if "UNREACHABLE" in line
    }
    assert "was not let in" in told["password"]
    assert "refused" in told["port"]
    assert "host key is known" in told["key"]
