"""How far one hook is: which events it has been sent, and which of them it has had."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from nacre.daemon.audit.chain import Kept
from nacre.daemon.audit.table import now
from nacre.daemon.hooks.occasions import TEST, body, identity, occasion
from nacre.daemon.hooks.values import DeadLetter, Hook, HookPlan, Progress, StoredHook
from nacre.daemon.separate.messages import HookTold, TellHook
from nacre.limits import KIB
from nacre.value import replace
from nacre.wire.text import safe

MOST_SENT = 64
"""Events that a hook is sent before it has had them."""

MOST_SENT_BYTES = 256 * KIB
"""Bytes of these, from which on no further one is sent."""

LONGEST_REASON = 300
"""Characters of why a hook has failed."""

_MOST_ATTEMPTS = 1 << 31

Record = Mapping[str, object]


class HookCursor:
    """The place of one hook in the table of events.

    :ivar plan: what the process gets of the hook; None while the hook can't be told of anything.
    :ivar scanned: the last event that was looked at.
    :ivar changed: whether the progress is not saved.
    :ivar dead: what was given up and is not saved.
    """

    def __init__(self, stored: StoredHook) -> None:
        self.number = stored.number
        self.hook: Hook = stored.hook
        self.progress: Progress = stored.progress
        self.plan: HookPlan | None = None
        self.scanned = stored.progress.position
        self.changed = False
        self.dead: list[DeadLetter] = []
        # The numbers, identifiers and sizes of the events that were sent.
        self._sent: deque[tuple[int, str, int]] = deque()
        self._bytes = 0

    def again(self) -> None:
        """Begin again behind what the hook has had: nobody knows what was sent of the rest."""
        self.scanned = self.progress.position
        self._sent.clear()
        self._bytes = 0

    @property
    def has_room(self) -> bool:
        """Whether further events may be sent."""
        full = len(self._sent) >= MOST_SENT or self._bytes >= MOST_SENT_BYTES
        return self.plan is not None and not full

    def take(self, events: Iterable[Kept]) -> Iterator[TellHook]:
        """Look at the next events, as long as there is room; return what is to be sent."""
        for event in events:
            if not self.has_room:
                return
            self.scanned = event.id
            if (told := self._body(event)) is None:
                if not self._sent:
                    self._move(event.id)
                continue
            self._sent.append((event.id, identity(event), len(told)))
            self._bytes += len(told)
            yield TellHook(self.number, event.id, told)

    def _body(self, event: Kept) -> bytes | None:
        """Return what the hook is told of an event; None if it is not."""
        fields = _fields(event)
        name = occasion(event, fields)
        if name == TEST:
            wanted = fields.get("hook") == self.hook.name
        else:
            wanted = not self.hook.events or name in self.hook.events
            wanted = wanted and (self.hook.any_outcome or event.outcome == "success")
        return body(event, fields, name, self.hook.name) if wanted else None

    def _move(self, position: int) -> None:
        self.progress = replace(self.progress, position=position)
        self.changed = True

    def told(self, message: HookTold) -> Record | None:
        """Take what became of an attempt; return what the log should have of it.

        What the process says of an event that is not the next one is not believed.
        """
        outcome = _OUTCOMES.get(message.outcome)
        if outcome is None or not self._sent or self._sent[0][0] != message.number:
            return None
        return outcome(self, message)

    def _leave(self, message: HookTold, **more: int) -> str:
        """Go on to the next event; return the identifier of the one that is left."""
        _, name, size = self._sent.popleft()
        self._bytes -= size
        position = self._sent[0][0] - 1 if self._sent else self.scanned
        self.progress = replace(
            self.progress, position=position, attempts=0, since=0, problem="", **more
        )
        self.changed = True
        return name

    def _done(self, message: HookTold) -> Record | None:
        failed = self.progress.since
        name = self._leave(message, delivered=self.progress.delivered + 1, last=now())
        return {**self._about(name), "outcome": "works again"} if failed else None

    def _given_up(self, message: HookTold) -> Record:
        name = self._leave(message, dead=self.progress.dead + 1)
        reason = _reason(message)
        letter = DeadLetter(hook=self.number, event=message.number, time=now(), reason=reason)
        self.dead.append(letter)
        return {**self._about(name), "outcome": "dead", "error": reason}

    def _failing(self, message: HookTold) -> Record:
        reason = _reason(message)
        attempts = min(message.attempts, _MOST_ATTEMPTS)
        since = self.progress.since or now()
        self.progress = replace(self.progress, attempts=attempts, since=since, problem=reason)
        self.changed = True
        about = self._about(self._sent[0][1])
        return {**about, "outcome": "failing", "attempts": attempts, "error": reason}

    def hold(self, problem: str) -> Record | None:
        """Send nothing, since the hook can't be used; return what the log should have of that."""
        known, self.plan = self.progress.problem == problem and self.plan is None, None
        if known:
            return None
        self.again()
        since = self.progress.since or now()
        self.progress = replace(self.progress, since=since, problem=problem)
        self.changed = True
        return {"event": "hook", "hook": self.hook.name, "outcome": "failing", "error": problem}

    def _about(self, name: str) -> dict[str, object]:
        return {"event": "hook", "hook": self.hook.name, "id": name}


def _reason(message: HookTold) -> str:
    """Return why an attempt has failed, to print: the process has made it safe, or should have."""
    text = message.reason
    short = text.isprintable() and len(text) <= LONGEST_REASON
    return text if short else safe(text, LONGEST_REASON)


def _fields(event: Kept) -> Mapping[str, object]:
    """Return the fields of an event; none if another program has written what is no JSON."""
    with suppress(ValueError, RecursionError):
        found = json.loads(event.fields)
        if isinstance(found, dict):
            return found
    return {}


_OUTCOMES = {
    "done": HookCursor._done,
    "dead": HookCursor._given_up,
    "failing": HookCursor._failing,
}
"""What the process may say of an attempt."""
