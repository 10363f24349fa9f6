from __future__ import annotations

import ast
import functools
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

import nacre


def test_what_type_checkers_see_is_what_there_is() -> None:
    tree = ast.parse(Path(nacre.__file__).read_text())
    seen = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nacre.")
        for alias in node.names
    }
    assert seen == {(home, name) for home, names in nacre._HOMES.items() for name in names}


@pytest.mark.parametrize("name", sorted(nacre.__all__))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(nacre, name) is not None
    assert name in dir(nacre)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        nacre.nonsense  # noqa: B018


def test_importing_nacre_imports_little() -> None:
    program = "import sys; before = set(sys.modules); import nacre; print(*set(sys.modules)-before)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env=environment,
    )
    loaded = {name for name in done.stdout.split() if name.startswith("nacre")}
    assert loaded <= {"nacre"}
    assert "asyncio" not in done.stdout.split()


def test_the_public_names_are_those_that_were_published() -> None:
    """A name that goes breaks programs: it leaves the list in a commit that CHANGELOG explains."""
    listed = (Path(__file__).parent / "public_names.txt").read_text().split("\n")
    gone = [
        line
        for line in filter(None, listed)
        if not hasattr(import_module(line.split()[0]), line.split()[1])
    ]
    assert gone == []


# --- types of public signatures ---

MADE_HERE = frozenset(
    [
        "AgentServer",
        "Channel",
        "Connection",
        "Later",
        "Listener",
        "Opening",
        "Process",
        "Reader",
        "SFTPClient",
        "SFTPFile",
        "Server",
        "ServerConnection",
        "Serving",
        "Session",
        "Tunnel",
        "Writer",
    ]
)
"""Classes whose instances programs get and do not make: their constructors are internal."""

FOR_NACRE = frozenset(
    {"Connection.handlers", "Serving.handlers", "Server.admit", "Server.forget", "Session.decide"}
    | {"Session.hold_to"}
    | {
        "Server.logged_in",
        "Server.apply",
        "Server.attach.frozen",
        "Server.attach.origin",
        "Config.lookup",
        "Config.__init__",
    }
    | {"Identities.vouching", "Identities.gssapi", "Identities.signed", "Connection.login_key"}
    | {"ForwardedDisplay.__init__", "TunnelDevice.__init__", "DeviceTunnel.__init__"}
)
"""What nacre's own modules use."""

PLAIN = frozenset(
    {"Buffer", "Links", "Name", "Output", "Path", "Random", "String", "T", "T_co", "Text", "U32"}
    | {"U64"}
)
"""Aliases and variables of types that Python itself has."""


@functools.cache
def homes(module: ModuleType) -> dict[str, tuple[str, str]]:
    """Return the module and the name of each of nacre's objects that a module's text refers to."""
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text())
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nacre."):
            for alias in node.names:
                found[alias.asname or alias.name] = (str(node.module), alias.name)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = (module.__name__, node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = (module.__name__, node.target.id)
    return found


def signatures(name: str, thing: object) -> Iterator[tuple[str, dict[str, object], str]]:
    """Yield each public signature of a function or class: where, its annotations, its module."""
    if inspect.isfunction(thing):
        yield name, thing.__annotations__, thing.__module__
    if not inspect.isclass(thing):
        return
    fields = vars(thing).get("__annotations__", {})
    yield name, {n: a for n, a in fields.items() if not n.startswith("_")}, thing.__module__
    for attribute, member in vars(thing).items():
        if attribute.startswith("_") and (attribute != "__init__" or name in MADE_HERE):
            continue
        function = member.fget if isinstance(member, property) else member
        function = inspect.unwrap(
            cast("Callable[..., Any]", getattr(function, "__func__", function))
        )
        # Channel.accept_… take the engine's events.
        if inspect.isfunction(function) and not attribute.startswith("accept_"):
            yield f"{name}.{attribute}", function.__annotations__, function.__module__


@pytest.mark.slow
def test_every_type_of_a_public_signature_is_public() -> None:
    exported = {(home, name) for home, names in nacre._HOMES.items() for name in names}
    exported |= {(thing.__module__, thing.__name__) for thing in map(public, nacre.__all__)
                 if inspect.isclass(thing)}  # fmt: skip
    missing = {}
    for name in nacre.__all__:
        for where, types, module in signatures(name, public(name)):
            # Methods that dataclasses make have no module.
            known = homes(sys.modules[module]) if (module or "").startswith("nacre.") else {}
            for parameter, annotation in types.items():
                if {where, f"{where}.{parameter}"} & FOR_NACRE:
                    continue
                for word in re.findall(r"(?<![\w.])[A-Za-z_]\w*", str(annotation)):
                    home = None if word in PLAIN or word.startswith("_") else known.get(word)
                    if home is not None and home not in exported:
                        missing[word] = f"{where}({parameter})"
    assert missing == {}


def public(name: str) -> Any:
    return getattr(nacre, name)
