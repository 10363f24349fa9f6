"""Ansible's connection plugin ``nacre``; see docs/ansible.md.

Ansible loads it in each of the processes that it forks for tasks, so it imports almost nothing.
"""

from __future__ import annotations

import os
import shlex
from typing import Any

from ansible.errors import (
    AnsibleAuthenticationFailure,
    AnsibleConnectionFailure,
    AnsibleError,
    AnsibleFileNotFound,
)
from ansible.plugins.connection import ConnectionBase

from nacre.compat.ansible.asking import (
    CONNECTION,
    FILE,
    LOGIN,
    BrokerError,
    BrokerRequest,
    ask,
    deadline,
    left,
)
from nacre.compat.ansible.frames import BrokerFrame

DOCUMENTATION = """
name: nacre
short_description: connect by nacre
description:
  - Runs modules and copies files over connections of nacre, an SSH client in Python.
  - The connections are kept by a process in the background, from one task to the next and from one
    playbook to the next.
  - The configuration of SSH (C(~/.ssh/config), C(/etc/ssh/ssh_config)), C(known_hosts) and the
    agent count as for C(ssh).
author: nacre
options:
  host:
    description: The host to connect to.
    default: inventory_hostname
    type: string
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_ssh_host
      - name: ansible_nacre_host
      - name: delegated_vars['ansible_host']
      - name: delegated_vars['ansible_ssh_host']
  port:
    description: Its port.
    type: int
    ini: [{section: defaults, key: remote_port}]
    env: [{name: ANSIBLE_REMOTE_PORT}]
    vars: [{name: ansible_port}, {name: ansible_ssh_port}, {name: ansible_nacre_port}]
    keyword: [{name: port}]
  remote_user:
    description: The user to log in as; by default that of the configuration of SSH.
    type: string
    ini: [{section: defaults, key: remote_user}]
    env: [{name: ANSIBLE_REMOTE_USER}]
    vars: [{name: ansible_user}, {name: ansible_ssh_user}, {name: ansible_nacre_user}]
    cli: [{name: user}]
    keyword: [{name: remote_user}]
  password:
    description: The password, which no other program gets.
    type: string
    vars: [{name: ansible_password}, {name: ansible_ssh_pass}, {name: ansible_ssh_password}]
  private_key_file:
    description: The private key to log in with.
    type: string
    ini: [{section: defaults, key: private_key_file}]
    env: [{name: ANSIBLE_PRIVATE_KEY_FILE}]
    vars: [{name: ansible_private_key_file}, {name: ansible_ssh_private_key_file}]
    cli: [{name: private_key_file, option: --private-key}]
  host_key_checking:
    description: Whether a host's key must be known.
    default: true
    type: boolean
    ini: [{section: defaults, key: host_key_checking}]
    env: [{name: ANSIBLE_HOST_KEY_CHECKING}]
    vars: [{name: ansible_host_key_checking}]
  timeout:
    description: The seconds for a login, and for a prompt of become.
    default: 30
    type: integer
    ini: [{section: defaults, key: timeout}]
    env: [{name: ANSIBLE_TIMEOUT}]
    vars: [{name: ansible_nacre_timeout}]
    cli: [{name: timeout}]
  config_file:
    description: A file of ssh_config to read in place of the usual ones.
    type: string
    env: [{name: ANSIBLE_NACRE_CONFIG_FILE}]
    vars: [{name: ansible_nacre_config_file}]
  options:
    description: Keywords of ssh_config that count before the files, each C(Keyword=Value).
    type: list
    elements: string
    default: []
    vars: [{name: ansible_nacre_options}]
  pipelining:
    description: Whether modules go through the input of a command, rather than as files.
    default: true
    type: boolean
    env: [{name: ANSIBLE_NACRE_PIPELINING}]
    vars: [{name: ansible_pipelining}, {name: ansible_nacre_pipelining}]
  persist:
    description: The seconds for which connections are kept that are not used.
    default: 60
    type: integer
    env: [{name: ANSIBLE_NACRE_PERSIST}]
    vars: [{name: ansible_nacre_persist}]
  directory:
    description: Where the socket of the background process is.
    default: ~/.ansible/nacre
    type: string
    env: [{name: ANSIBLE_NACRE_DIRECTORY}]
    vars: [{name: ansible_nacre_directory}]
"""

_TERM = "dumb"


class BrokeredConnection(ConnectionBase):  # type: ignore[misc]
    """A task's way to its host, by the broker."""

    # Ansible takes it from the name of the class otherwise.
    plugin_type = "connection"
    transport = "nacre"
    has_pipelining = True

    def _connect(self) -> BrokeredConnection:
        self._connected = True  # the broker logs in with the first request
        return self

    def _login(self) -> dict[str, Any]:
        key, config = self.get_option("private_key_file"), self.get_option("config_file")
        keywords = list(self.get_option("options"))
        if not self.get_option("host_key_checking"):
            keywords.append("StrictHostKeyChecking=no")
        return {
            "host": self.get_option("host"),
            "port": self.get_option("port"),
            "user": self.get_option("remote_user"),
            "password": self.get_option("password"),
            "key": _absolute(key) if key else None,
            "agent": os.environ.get("SSH_AUTH_SOCK") or None,
            "timeout": self.get_option("timeout"),
            "config": _absolute(config) if config and config.lower() != "none" else config,
            "keywords": keywords,
        }

    def _ask(self, **request: Any) -> BrokerRequest:
        directory = os.path.expanduser(self.get_option("directory"))
        request["login"] = self._login()
        try:
            return ask(directory, float(self.get_option("persist")), request)
        except BrokerError as error:
            raise self._failure(error) from error

    def _failure(self, error: BrokerError) -> AnsibleError:
        return _FAILURES[error.kind](f"{self.get_option('host')}: {error}")

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Run a command."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        become = self.become if sudoable and self.become and self.become.success else None
        term = _TERM if become is not None and become.require_tty else None
        outputs = {BrokerFrame.OUTPUT: bytearray(), BrokerFrame.ERRORS: bytearray()}
        try:
            with self._ask(command=cmd, term=term) as asked:
                if become is not None:
                    self._gain_rights(become, asked, outputs)
                status = asked.pass_input(in_data or b"", outputs)
        except BrokerError as error:
            raise self._failure(error) from error
        # As with ssh: a command that a signal has ended has 255.
        code = 255 if status is None else status
        return code, bytes(outputs[BrokerFrame.OUTPUT]), bytes(outputs[BrokerFrame.ERRORS])

    def _gain_rights(
        self, become: Any, asked: BrokerRequest, outputs: dict[BrokerFrame, bytearray]
    ) -> None:
        """Answer the prompt for the password, wait for the command, and drop both from outputs."""
        until = deadline(self.get_option("timeout"))
        prompts = become.expect_prompt()
        while True:
            both = bytes(outputs[BrokerFrame.OUTPUT] + b"\n" + outputs[BrokerFrame.ERRORS])
            if become.check_success(both):
                break
            if become.check_incorrect_password(both):
                raise AnsibleError(f"Incorrect {become.name} password")
            if become.check_missing_password(both):
                raise AnsibleError(f"Missing {become.name} password")
            if prompts and become.check_password_prompt(both):
                prompts = False
                password = become.get_option("become_pass", playcontext=self._play_context)
                for output in outputs.values():
                    output.clear()
                asked.write(password.encode("utf-8", "surrogateescape") + b"\n")
            try:
                kind, data = asked.read(left(until))
            except TimeoutError:
                raise AnsibleConnectionFailure(
                    f"{become.name} did not begin within {self.get_option('timeout')} seconds: "
                    f"{both.decode('utf-8', 'replace').strip()}"
                ) from None
            if kind is BrokerFrame.DONE:
                raise AnsibleError(
                    f"{become.name} failed: {both.decode('utf-8', 'replace').strip()}"
                )
            outputs[kind].extend(data)
        mark = become.success.encode()
        for output in outputs.values():
            _, found, after = bytes(output).partition(mark)
            if found:
                output[:] = after.lstrip(b"\r\n")

    def _copy(self, copy: str, ours: str, theirs: str) -> None:
        try:
            with self._ask(copy=copy, paths=[os.path.abspath(ours), theirs]) as asked:
                asked.read()
        except BrokerError as error:
            raise self._failure(error) from error

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file to the host."""
        super().put_file(in_path, out_path)
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(f"there is no file {shlex.quote(in_path)}")
        self._copy("put", in_path, out_path)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file from the host."""
        super().fetch_file(in_path, out_path)
        self._copy("get", out_path, in_path)

    def reset(self) -> None:
        """Have the next task log in anew."""
        try:
            with self._ask(reset=True) as asked:
                asked.read()
        except BrokerError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Leave the connection to the tasks that follow."""
        self._connected = False


def _absolute(path: str) -> str:
    """Return a path for the broker, which has another working directory."""
    return os.path.abspath(os.path.expanduser(path))


Connection = BrokeredConnection
"""The name that Ansible looks for."""

_FAILURES: dict[str, type[AnsibleError]] = {
    LOGIN: AnsibleAuthenticationFailure,
    CONNECTION: AnsibleConnectionFailure,
    FILE: AnsibleError,
}
