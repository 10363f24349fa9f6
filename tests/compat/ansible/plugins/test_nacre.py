"""What the plugin does with ``become``, with stand-ins for Ansible's classes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from nacre.compat.ansible import PLUGINS
from nacre.compat.ansible.frames import BrokerFrame


class Failure(Exception):
    """Any error of Ansible."""


class Base:
    """As much of ConnectionBase as the plugin uses."""

    become: Any = None
    _play_context = None

    def exec_command(self, *words: Any, **options: Any) -> None:
        """Do nothing, as Ansible's does."""

    def get_option(self, name: str) -> Any:
        return {"timeout": 5, "host": "h"}[name]


class Asked:
    """A request with answers that are known before."""

    def __init__(self, *answers: tuple[BrokerFrame, bytes]) -> None:
        self.answers = list(answers)
        self.written: list[bytes] = []

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def read(self, seconds: float | None = None) -> tuple[BrokerFrame, bytes]:
        if not self.answers:
            raise TimeoutError
        return self.answers.pop(0)

    def pass_input(self, data: bytes, outputs: dict[BrokerFrame, bytearray]) -> int | None:
        self.written.append(data)
        for kind, text in self.answers:
            outputs[kind].extend(text)
        return 0


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    errors, connection = ModuleType("ansible.errors"), ModuleType("ansible.plugins.connection")
    for name in ("Error", "AuthenticationFailure", "ConnectionFailure", "FileNotFound"):
        setattr(errors, f"Ansible{name}", type(name, (Failure,), {}))
    connection.ConnectionBase = Base  # type: ignore[attr-defined]
    for made in (ModuleType("ansible"), ModuleType("ansible.plugins"), errors, connection):
        monkeypatch.setitem(sys.modules, made.__name__, made)
    spec = importlib.util.spec_from_file_location("plugin", Path(PLUGINS, "nacre.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Connection()


def become(*, prompts: bool = True, tty: bool = False) -> Any:
    return SimpleNamespace(
        name="sudo",
        success="SUCCESS-1",
        require_tty=tty,
        expect_prompt=lambda: prompts,
        check_success=lambda data: b"SUCCESS-1" in data,
        check_password_prompt=lambda data: b"password:" in data,
        check_incorrect_password=lambda data: b"Sorry" in data,
        check_missing_password=lambda data: b"is required" in data,
        get_option=lambda name, playcontext: "secret",
    )


def run(plugin: Any, asked: Asked, data: bytes | None = None) -> Any:
    requests: list[dict[str, Any]] = []

    def ask(**request: Any) -> Asked:
        requests.append(request)
        return asked

    plugin._ask = ask
    found = plugin.exec_command("command", in_data=data)
    return *found, requests[0]["term"]


def test_the_password_is_sent_at_the_prompt_and_the_input_after_it(plugin: Any) -> None:
    plugin.become = become()
    asked = Asked(
        (BrokerFrame.ERRORS, b"pass"),
        (BrokerFrame.ERRORS, b"word:"),
        (BrokerFrame.OUTPUT, b"noise\r\nSUCCESS-1\r\nfirst "),
        (BrokerFrame.OUTPUT, b"second"),
        (BrokerFrame.ERRORS, b"note"),
    )
    assert run(plugin, asked, b"module") == (0, b"first second", b"note", None)
    assert asked.written == [b"secret\n", b"module"]


def test_without_a_password_nothing_is_sent(plugin: Any) -> None:
    plugin.become = become(prompts=False, tty=True)
    asked = Asked((BrokerFrame.OUTPUT, b"SUCCESS-1\nout"))
    assert run(plugin, asked) == (0, b"out", b"", "dumb")
    assert asked.written == [b""]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([(BrokerFrame.ERRORS, b"Sorry")], "Incorrect sudo password"),
        ([(BrokerFrame.ERRORS, b"a password is required")], "Missing sudo password"),
        ([(BrokerFrame.ERRORS, b"password:"), (BrokerFrame.DONE, b"{}")], "sudo failed"),
        ([(BrokerFrame.OUTPUT, b"Who are you?")], "did not begin within 5 seconds: Who are you?"),
    ],
)
def test_what_fails_is_told(
    plugin: Any, answers: list[tuple[BrokerFrame, bytes]], why: str
) -> None:
    plugin.become = become()
    with pytest.raises(Failure, match=why.replace("?", r"\?")):
        run(plugin, Asked(*answers))


def test_a_command_that_needs_no_rights_has_its_output_as_it_is(plugin: Any) -> None:
    assert run(plugin, Asked((BrokerFrame.OUTPUT, b"out"))) == (0, b"out", b"", None)


def test_paths_are_those_of_the_task(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The broker has another working directory, and perhaps another environment.
    monkeypatch.setenv("SSH_AUTH_SOCK", "")
    options: dict[str, Any] = {"options": [], "host_key_checking": True}
    plugin.get_option = lambda name: options.get(name)

    def login(**more: str) -> dict[str, Any]:
        options.update(more)
        found: dict[str, Any] = plugin._login()
        return found

    assert (login()["config"], login()["key"], login()["agent"]) == (None, None, None)
    found = login(config_file="ssh_config", private_key_file="~/key")
    assert found["config"] == str(Path.cwd() / "ssh_config")
    assert found["key"] == str(Path.home() / "key")
    assert login(config_file="none")["config"] == "none"


def test_a_reset_that_fails_is_told(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**request: Any) -> Asked:
        raise sys.modules["nacre.compat.ansible.asking"].BrokerError("connection", "it has ended")

    plugin._ask = fail
    with pytest.raises(Failure, match="it has ended"):
        plugin.reset()
