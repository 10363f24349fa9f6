"""Draw the stages of both protocols into docs/architecture.md: scripts/diagrams.py [--check]

The tables are those that the engines use. With --check nothing is written, and the exit status is 1
when the page does not show what they say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from nacre.protocol.asks import Ask
from nacre.protocol.phases import Role
from nacre.ssh1 import routes as ssh1
from nacre.ssh1.messages import SSH1Msg
from nacre.ssh2 import routes as ssh2
from nacre.ssh2.routes import Resting, Stage, Trigger
from nacre.ssh2.transport.stages import KexStage
from nacre.wire.message import Message
from nacre.wire.numbers import Msg

PAGE = Path(__file__).resolve().parent.parent / "docs" / "architecture.md"
BEGIN, END = "<!-- diagrams: begin -->\n", "<!-- diagrams: end -->\n"

RUN = 4
"""Consecutive messages of one kind from which on only the first and the last are named."""

FIRST, BEFORE = Resting.FIRST_KEXINIT.name, "STAGE_BEFORE"
"""Where a key exchange begins: the first one, and every later one."""


def main() -> int:
    """Write the diagrams, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write into")
    arguments = parser.parse_args()
    shown = arguments.page.read_text()
    before, _, rest = shown.partition(BEGIN)
    _, marked, after = rest.partition(END)
    if not marked:
        print(f"{arguments.page}: there is no place marked for diagrams", file=sys.stderr)
        return 1
    drawn = f"{before}{BEGIN}\n{text()}\n{END}{after}"
    if drawn == shown:
        return 0
    if arguments.check:
        print(f"{arguments.page} is out of date: run scripts/diagrams.py", file=sys.stderr)
        return 1
    arguments.page.write_text(drawn)
    return 0


def text() -> str:
    """Return everything between the marks."""
    parts = [
        _INTRODUCTION,
        *(f"{title}\n\n{diagram}" for role in Role for title, diagram in diagrams(role)),
        "#### Legal messages in SSH-2",
        f"{listed(ssh2.ALWAYS, Msg)} are legal in every stage, beside those of the tables. In the\n"
        f"first exchange of strict kex, {listed(ssh2.STRICT, Msg)} alone is.",
        *("\n".join(ssh2_table(role)) for role in Role),
        "Some messages have no effect although they are not legal: they get UNIMPLEMENTED, and\n"
        "the connection goes on. Before the login these are keepalives; after it, what comes late:",
        *("\n".join(late_table(role)) for role in Role),
        f"During a rekey, {listed(ssh2.REKEY, Msg)} are taken too.",
        "#### Legal messages in SSH-1",
        f"{listed(ssh1.ALWAYS, SSH1Msg)} are legal in every stage, beside those of the table.",
        "\n".join(ssh1_table()),
    ]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
An arrow is a message of the peer, or the answer to a question of the engine. Whatever has no arrow
leaves the stage as it is, or ends the connection. STAGE_BEFORE is the stage in which KEXINIT
arrived; after the first exchange it is SERVICE."""


# --- diagrams ---


def diagrams(role: Role) -> Iterator[tuple[str, str]]:
    """Draw the key exchange of a role, which returns to where it began, and all else."""
    edges = list(_edges(role))
    exchange = {
        (_outside(start), _outside(end), label)
        for start, end, label in edges
        if isinstance(start, KexStage) or isinstance(end, KexStage)
    }
    others = {
        (start.name, end.name, label)
        for start, end, label in edges
        if not isinstance(start, KexStage) and not isinstance(end, KexStage)
    }
    order = [FIRST, BEFORE, *(stage.name for stage in ssh2.TRANSITIONS[role])]
    yield f"#### A {role.value}'s key exchange", _mermaid(exchange, order, [FIRST, BEFORE])
    yield (
        f"#### A {role.value}'s authentication",
        _mermaid(others, order, [Resting.SERVICE.name]),
    )


def _edges(role: Role) -> Iterator[tuple[Stage, Stage, str]]:
    for start, triggers in ssh2.TRANSITIONS[role].items():
        for trigger, ends in triggers.items():
            for end in ends:
                yield start, end, _label(start, trigger)


def _outside(stage: Stage) -> str:
    """Return the name of a stage in the diagram of the key exchange."""
    inside = isinstance(stage, KexStage) or stage is Resting.FIRST_KEXINIT
    return stage.name if inside else BEFORE


def _label(stage: Stage, trigger: Trigger) -> str:
    if issubclass(trigger, Ask):
        return f"answer to {trigger.__name__}"
    assert issubclass(trigger, Message)
    if trigger.NUMBER in set(Msg):
        return Msg(trigger.NUMBER).name
    if stage is KexStage.GUESS:
        return "any message of a method"
    # The numbers of a method's messages have other names with other methods.
    return stage.value if isinstance(stage, KexStage) else trigger.__name__


def _mermaid(edges: set[tuple[str, str, str]], order: list[str], starts: list[str]) -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    lines += [f"    [*] --> {start}" for start in starts]
    pairs: dict[tuple[str, str], list[str]] = {}
    for start, end, label in sorted(
        edges, key=lambda e: (order.index(e[0]), order.index(e[1]), e[2])
    ):
        if start != end:
            pairs.setdefault((start, end), []).append(label)
    lines += [f"    {a} --> {b}: {' / '.join(labels)}" for (a, b), labels in pairs.items()]
    return "\n".join([*lines, "```"])


# --- tables ---


def ssh2_table(role: Role) -> Iterator[str]:
    """Return the rows of a role's stages, in the order of a connection."""
    yield f"| stage of a {role.value} | messages |"
    yield "|---|---|"
    for stage in ssh2.TRANSITIONS[role]:
        numbers = ssh2.legal(role, stage) - ssh2.ALWAYS
        if stage is KexStage.GUESS:
            yield f"| `{stage.name}` | any message of a key exchange method |"
        elif isinstance(stage, KexStage):
            yield f"| `{stage.name}` | {stage.value} |"
        else:
            yield f"| `{stage.name}` | {listed(numbers, Msg)} |"


def late_table(role: Role) -> Iterator[str]:
    """List what a role leaves aside after the login, and why a peer may send it."""
    yield f"| to a {role.value} after the login | reason |"
    yield "|---|---|"
    for number, reason in ssh2.AFTER_LOGIN[role].items():
        name = Msg(number).name if number in set(Msg) else str(number)
        yield f"| {name} | {reason} |"


def ssh1_table() -> Iterator[str]:
    """Return the rows of all stages; the client's come first."""
    yield "| stage | waits for | messages |"
    yield "|---|---|---|"
    for stage, numbers in ssh1.LEGAL.items():
        yield f"| `{stage.name}` | {stage.value} | {listed(numbers, SSH1Msg) or 'none'} |"


def listed(numbers: frozenset[int], names: type[Msg] | type[SSH1Msg]) -> str:
    """Return the names of messages, runs of one kind shortened."""
    runs: list[list[str]] = []
    last = None
    for number in sorted(numbers):
        name = names(number).name if number in set(names) else f"{number} (of the method)"
        if last == number - 1 and _kind(runs[-1][-1]) == _kind(name):
            runs[-1].append(name)
        else:
            runs.append([name])
        last = number
    long = (f"{run[0]} to {run[-1]}" if len(run) >= RUN else ", ".join(run) for run in runs)
    return ", ".join(long)


def _kind(name: str) -> str:
    return name.partition("_")[0]


if __name__ == "__main__":
    sys.exit(main())
