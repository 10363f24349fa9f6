"""No module but the driver calls an engine: an output that no turn sends would hang the peer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import nacre
from nacre.aio.driver import EngineState
from nacre.protocol.engine import Engine

SOURCE = Path(nacre.__file__).parent

EXEMPT = {
    "aio/driver.py",
    "aio/versions.py",  # an engine itself: it hands every call on to another one
    "testing.py",  # carries between two engines without a driver
    "daemon/store/sqlite_file.py",  # SQLAlchemy's engine
    "daemon/store/postgres/shared_database.py",  # likewise
}
ENGINES = ("protocol/", "ssh1/", "ssh2/")


def members(face: type) -> set[str]:
    return {name for name in vars(face) if not name.startswith("_")}


STATE = members(EngineState)


def modules() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name not in EXEMPT and not name.startswith(ENGINES):
            yield name, path.read_text()


def offences(text: str) -> Iterator[str]:
    """Return what uses more of an engine than its state, or keeps what ``touch`` returns."""
    used_at_once: set[ast.AST] = set()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            used_at_once.add(node.value)
            holder = node.value
            name = getattr(holder, "attr", getattr(holder, "id", ""))
            if name in ("engine", "_engine") and node.attr not in STATE:
                yield ast.unparse(node)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node not in used_at_once:
            function = node.func
            if isinstance(function, ast.Attribute) and function.attr == "touch":
                yield ast.unparse(node)


def test_no_other_module_calls_an_engine() -> None:
    found = {name: list(offences(text)) for name, text in modules()}
    assert {name: calls for name, calls in found.items() if calls} == {}
    assert "aio/channel.py" in found


def test_the_state_of_an_engine_has_no_call_that_puts_out() -> None:
    assert members(Engine) > STATE
    assert all(isinstance(vars(EngineState)[name], property) for name in STATE)


@pytest.mark.parametrize(
    "text",
    [
        "self.engine.rekey()",
        "engine.disconnect(1, '')",
        "self._engine.connection.send_eof(3)",
        "connection = connection.engine.connection",
        "engine = self.driver.touch()",
        "return self._driver.touch()",
    ],
)
def test_a_call_past_the_driver_is_found(text: str) -> None:
    assert list(offences(f"def f():\n    {text}"))


@pytest.mark.parametrize("text", ["self.driver.touch().rekey()", "self.engine.phase"])
def test_a_call_through_the_driver_is_allowed(text: str) -> None:
    assert not list(offences(text))
