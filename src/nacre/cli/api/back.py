"""The process that checks keys and does what is asked for. It has the server's account.

It reads no byte of a stranger: what comes over the link is decoded member by member, bounded, and
checked again here, as the process at the other end may have been taken over.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, redirect_stderr
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TypeVar

from nacre.cli.api.actions import BY_NAME, MOST_FOLLOWING, Action, Work
from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.judge import KeyJudge, ScopeRefused, call_of
from nacre.cli.api.openapi import JSON, PROBLEM
from nacre.cli.api.pipe import (
    LONGEST_ANSWER,
    LONGEST_ASKED,
    AnswerEnd,
    AnswerPart,
    APIAnswer,
    APICall,
    CallDropped,
    CallMessage,
    MessageTaken,
    line_of,
    value_of,
)
from nacre.cli.api.recordings.asking import RecordingsLink
from nacre.cli.api.streams.connections_stream import ConnectionFeed
from nacre.cli.api.streams.log_stream import follow
from nacre.cli.api.streams.messages import CallMessages
from nacre.cli.api.streams.recording_stream import recorded
from nacre.cli.api.streams.watch_stream import join, watch
from nacre.daemon.api.plan import NO_SSH, ServedSSH
from nacre.daemon.audit.events import AuditEvent, written
from nacre.daemon.audit.table import now
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.requests import Tell
from nacre.daemon.sandbox import capabilities
from nacre.daemon.sandbox.rules import FILES
from nacre.daemon.sandbox.sandbox import Sandbox
from nacre.errors import NacreError
from nacre.wire.text import safe

T = TypeVar("T")

MOST_CALLS = 64
"""Calls at once, with those that follow something."""

MOST_SIGN_INS = 8
"""Sign-ins at once. Strangers cause them, and each takes a hash of a password: those of many
networks together leave room for other calls."""

PATIENCE = 30.0
"""Seconds that a call has. What a thread does goes on."""

LOOK_AGAIN = 15.0
"""Seconds after which the key of a call that follows the log is looked up again; a quiet log has a
comment as often."""

_MOST_TOLD = 512
"""Characters of a target or a reason in the log."""

_THREADS: Mapping[Work, int] = {"read": 3, "change": 1, "sign-in": 1, "search": 1}
_JUDGING, _NOTING = 1, 1


@dataclass(frozen=True, slots=True)
class _Done:
    """An answer before it is sent.

    :ivar reason: why it is a refusal, or a failure, for the log.
    :ivar offence: what that costs the network of who signs in; see :mod:`nacre.daemon.bans.keeper`.
    """

    status: int
    kind: str = ""
    headers: tuple[str, ...] = ()
    body: str = ""
    reason: str = ""
    offence: str = ""


class Back:
    """Answers calls.

    :param state: the state directory.
    :param audited: whether each call is an event of the audit.
    :param trusted: whether its clients need no keys.
    :param recordings: the link to the process with the recordings, if there are any.
    :param ssh: where SSH is served.
    """

    def __init__(
        self,
        state: Path,
        *,
        audited: bool,
        trusted: bool = False,
        recordings: RecordingsLink | None = None,
        ssh: ServedSSH = NO_SSH,
    ) -> None:
        """Open the store.

        :raises StateError: it can't be opened.
        """
        self._resources = Resources(state, recordings, ssh)
        self._judge = KeyJudge(self._resources, trusted=trusted)
        self._audited = audited
        self._pools = {work: _pool(count, work) for work, count in _THREADS.items()}
        self._judging, self._noting = _pool(_JUDGING, "judge"), _pool(_NOTING, "note")
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._following: dict[int, str] = {}
        self._messages: dict[int, CallMessages] = {}
        self._signing_in = 0
        self._feed = ConnectionFeed(state)

    async def run(self, sock: socket.socket, alive: int) -> None:
        """Answer until a process at the other end of one of these is gone.

        :param sock: the link to the process that asks.
        :param alive: a descriptor that ends with the process that has started this one.
        """
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_reader(alive, over.set)
        reader, self._writer = await asyncio.open_connection(sock=sock, limit=LONGEST_ASKED)
        reading = asyncio.create_task(self._read(reader))
        ending = asyncio.create_task(over.wait())
        try:
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            loop.remove_reader(alive)
            tasks = [reading, ending, *self._calls.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            value = value_of(line)
            if isinstance(value, APICall):
                await self._begin(value)
            elif isinstance(value, CallMessage):
                messages = self._messages.get(value.number)
                if messages is not None and not messages.put(value.text):
                    self._calls[value.number].cancel()
            elif isinstance(value, CallDropped) and value.number in self._following:
                # Other calls go on to their ends, and are logged.
                self._calls[value.number].cancel()

    async def _begin(self, asked: APICall) -> None:
        if asked.number in self._calls or len(self._calls) >= MOST_CALLS:
            problem = Problem(503, "the API has too many calls: try again in some seconds")
            await self._send(_answered(asked.number, _failed(problem)))
            return
        task = asyncio.create_task(self._serve(asked))
        self._calls[asked.number] = task
        task.add_done_callback(lambda _: self._calls.pop(asked.number, None))

    async def _send(self, value: object) -> None:
        self._writer.write(line_of(value))
        await self._writer.drain()

    async def _serve(self, asked: APICall) -> None:
        action: Action | None = None
        key, call = "", CheckedCall()
        try:
            permit = await self._in(self._judging, lambda: self._judge.judge(asked))
            action, key = permit.action, permit.key
            judged, call = action, call_of(asked, permit)
            if judged.work in ("follow", "socket"):
                await self._note(asked, judged, key, call, _Done(judged.status))
                await self._follow(asked, call)
                return
            perform = self._sign_in if judged.work == "sign-in" else self._perform
            done = await perform(judged, call)
        except Problem as problem:
            key = problem.key if isinstance(problem, ScopeRefused) else key
            done = _failed(problem)
        except NacreError as error:  # of the store, say
            done = _failed(Problem(500, str(error)))
        try:
            if _is_noted(action, done):
                await self._note(asked, action, key, call, done)
        except Problem as problem:
            done = _failed(problem)
        await self._send(_answered(asked.number, done))

    async def _sign_in(self, action: Action, call: CheckedCall) -> _Done:
        """Do what strangers have done, so many at once.

        :raises Problem: there are too many, or it fails.
        """
        if self._signing_in >= MOST_SIGN_INS:
            raise Problem(429, "too many sign-ins: wait some seconds", {"Retry-After": "5"})
        self._signing_in += 1
        try:
            return await self._perform(action, call)
        finally:
            self._signing_in -= 1

    async def _perform(self, action: Action, call: CheckedCall) -> _Done:
        """Do what is asked for.

        :raises Problem: it fails.
        """
        try:
            found = await self._in(self._pools[action.work], lambda: self._work(action, call))
        except NacreError as error:
            raise Problem(422, str(error)) from None
        body = "" if found is None else json.dumps(found)
        if len(body) > LONGEST_ANSWER:
            raise Problem(422, "the answer is too long: ask for fewer with limit")
        return _Done(action.status, JSON if body else "", (), body)

    def _work(self, action: Action, call: CheckedCall) -> object:
        if action.work != "change":
            return action.perform(self._resources, call)
        # What the programs remark on a terminal is not for the log; this thread alone changes.
        with redirect_stderr(StringIO()):
            return action.perform(self._resources, call)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        """Return what a function returns that runs in a thread of a pool.

        :raises Problem: it takes too long, or fails in a way that it should not.
        """
        future = asyncio.get_running_loop().run_in_executor(pool, work)
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.shield(future)
        except TimeoutError:
            future.cancel()
            raise Problem(504, "this takes too long; it may be done nevertheless") from None
        except (Problem, NacreError):
            raise
        except Exception as error:
            raise _fault(error) from None

    async def _note(
        self,
        asked: APICall,
        action: Action | None,
        key: str,
        call: CheckedCall,
        done: _Done,
    ) -> None:
        """Log a call, and keep it as an event.

        :raises Problem: that can't be done.
        """
        name = safe(asked.action, 64) if action is None else action.name
        told = Tell(
            key=key,
            action=name,
            target=safe(_target(call), _MOST_TOLD),
            status=done.status,
            peer=safe(asked.peer, 64),
            client=safe(_client(action, call), 64),
            offence=done.offence,
            reason=safe(done.reason, _MOST_TOLD),
        )
        try:
            await self._in(self._noting, lambda: self._tell(told))
        except (NacreError, Problem):
            # A server that stops, or has no room, is no reason to keep from its operator what is.
            if action is not None and action.work == "change" and done.status < 400:
                raise Problem(
                    500, "this was done, and could not be logged: see the server's log"
                ) from None

    def _tell(self, told: Tell) -> None:
        with ControlCaller(self._resources.state) as caller:
            list(caller.ask("tell", told))
        if not self._audited:
            return
        fields = {"key": told.key, "action": told.action, "target": told.target}
        kept = {**fields, "status": told.status, "reason": told.reason, "client": told.client}
        outcome = "success" if told.status < 400 else _OUTCOMES.get(told.status, "failure")
        said = written({name: one for name, one in kept.items() if one != ""})
        event = AuditEvent("", "", told.peer, "api", outcome, said)
        self._resources.audit().add([(now(), event)])

    async def _follow(self, asked: APICall, call: CheckedCall) -> None:
        """Send what is followed until the client goes, or its key counts no more."""
        number, name = asked.number, asked.action
        most = MOST_FOLLOWING[name]
        if list(self._following.values()).count(name) >= most:
            problem = Problem(503, f"{most} calls follow this already")
            await self._send(_answered(number, _failed(problem)))
            return
        self._following[number] = name
        messages = CallMessages(partial(self._send, MessageTaken(number=number)))
        if BY_NAME[name].work == "socket":
            self._messages[number] = messages
        clock = asyncio.get_running_loop().time
        try:
            looked = 0.0
            async with aclosing(self._texts(name, call, messages)) as texts:
                async for text in texts:
                    if not looked:
                        begun = _Done(BY_NAME[name].status, BY_NAME[name].media, (), "")
                        await self._send(_answered(number, begun))
                        looked = clock()
                    elif clock() - looked >= LOOK_AGAIN:
                        looked = clock()
                        used = messages.take_used()
                        holds = partial(self._judge.holds, asked, used=used)
                        if not await self._in(self._judging, holds):
                            break
                    await self._send(AnswerPart(number=number, text=text))
            await self._send(AnswerEnd(number=number))
        except Problem as problem:
            await self._send(_answered(number, _failed(problem)))
        except NacreError:
            raise
        except Exception as error:  # a client would wait for the rest without an end
            await self._send(_answered(number, _failed(_fault(error))))
        finally:
            del self._following[number]
            self._messages.pop(number, None)

    def _texts(
        self, name: str, call: CheckedCall, messages: CallMessages
    ) -> AsyncGenerator[str, None]:
        if name == "connections.follow":
            return self._feed.follow(call)
        if name == "recordings.show":
            return recorded(self._resources, call)
        if name == "connection.join":
            return join(self._resources.state, call, messages)
        stream = watch if name == "connection.watch" else follow
        return stream(self._resources.state, call)


_OUTCOMES = {401: "refused", 403: "refused"}


def _pool(count: int, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, name)


def _is_noted(action: Action | None, done: _Done) -> bool:
    """Tell whether a call is for the log and the audit."""
    if action is None:
        return done.status != 429
    silent = action.polled and done.status < 400
    return done.status != 429 and action.scope is not None and not silent


def _target(call: CheckedCall) -> str:
    """Return whom or what a call is about, for the log; no secret is among it."""
    path = "/".join(call.path.values())
    named = (call.body.get(name) for name in ("name", "user", "network"))
    return path or next((str(one) for one in named if one is not None), "")


def _client(action: Action | None, call: CheckedCall) -> str:
    """Return from which address a user signs in, as the program tells; empty for other calls."""
    signs_in = action is not None and action.work == "sign-in"
    return str(call.body.get("address", "")) if signs_in else ""


def _fault(error: Exception) -> Problem:
    """Tell the log of something that should not fail, and return what its client is told."""
    text = safe(f"{type(error).__name__}: {error}")
    print(f"nacre api: an action has failed: {text}", file=sys.__stderr__, flush=True)
    return Problem(500, "the server has failed; its log says more")


def _failed(problem: Problem) -> _Done:
    headers = tuple(word for pair in problem.headers.items() for word in pair)
    body = json.dumps(problem.members())
    return _Done(int(problem.status), PROBLEM, headers, body, problem.logged, problem.offence)


def _answered(number: int, done: _Done) -> APIAnswer:
    return APIAnswer(
        number=number, status=done.status, kind=done.kind, headers=done.headers, body=done.body
    )


def main(
    state: Path,
    sock: socket.socket,
    alive: int,
    *,
    audited: bool,
    trusted: bool,
    recordings: socket.socket | None,
    ssh: ServedSSH,
) -> None:
    """Answer calls until the other processes are gone.

    :param recordings: the link to the process with the recordings, if there are any.
    :param ssh: where SSH is served.
    """
    if os.geteuid() == 0:
        capabilities.keep(())
    # It needs files and the control socket: no program, and no host of a network.
    Sandbox(FILES).enter()
    link = None if recordings is None else RecordingsLink(recordings)
    back = Back(state, audited=audited, trusted=trusted, recordings=link, ssh=ssh)
    asyncio.run(_run(back, sock, alive))


async def _run(back: Back, sock: socket.socket, alive: int) -> None:
    await back.run(sock, alive)
