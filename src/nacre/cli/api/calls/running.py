"""Calls about a running server: its connections, its bans, its audit and its health."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import ip_network
from itertools import islice
from typing import TYPE_CHECKING, Any

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.manage.times import moment
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.place import connected
from nacre.daemon.control.requests import USUAL_REASON, Kill, Who
from nacre.daemon.control.values import ControlError
from nacre.errors import ConfigurationError, StateError
from nacre.server.admission.bans import Ban
from nacre.server.admission.networks import Network, parse_network, show_network
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.audit.search import Search
    from nacre.daemon.audit.table import AuditTable


def _asked(resources: Resources, name: str, request: object) -> tuple[list[dict[str, Any]], int]:
    """Return the values of an answer of the server, and how many processes did not answer.

    :raises Problem: there is none.
    """
    try:
        with ControlCaller(resources.state) as caller:
            found = [asdict(one) for one in caller.ask(name, request)]
            return found, caller.silent
    except ControlError as error:
        raise Problem(503, str(error)) from None


def health(resources: Resources, _call: CheckedCall) -> object:
    """Tell whether the server answers."""
    try:
        connected(resources.state).close()
    except ControlError:
        raise Problem(503, "the server does not answer") from None
    return {"status": "ok"}


def list_connections(resources: Resources, call: CheckedCall) -> object:
    """Return the connections."""
    found, silent = _asked(resources, "who", Who(everyone=call.query["everyone"]))
    return {"connections": found, "silent": silent}


def end_connections(resources: Resources, call: CheckedCall) -> object:
    """End connections, by their numbers or by their user."""
    ids, user = call.body.get("ids", []), call.body.get("user")
    if not ids and user is None:
        raise Problem(422, "give ids, or a user")
    reason = call.body.get("reason") or USUAL_REASON
    found, _ = _asked(resources, "kill", Kill(ids=tuple(ids), user=user, reason=reason))
    return {"ended": found}


def end_connection(resources: Resources, call: CheckedCall) -> object:
    """End a connection."""
    number = call.path["id"]
    reason = call.query.get("reason") or USUAL_REASON
    found, _ = _asked(resources, "kill", Kill(ids=(number,), reason=reason))
    if not found:
        raise Problem(404, f"there is no connection {safe(number, 64)}")
    return None


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ConfigurationError as error:
        raise Problem(422, str(error)) from None


def _shown_ban(ban: Ban) -> dict[str, Any]:
    return {
        "network": show_network(ban.network),
        "allowed": ban.allowed,
        "until": ban.until or None,
        "level": ban.level,
        "reason": ban.reason,
    }


def list_bans(resources: Resources, call: CheckedCall) -> object:
    """Return a page of the networks that are banned now, and of those that never are."""
    now, limit = time.time(), call.query["limit"]
    shown = [_shown_ban(one) for one in resources.store.bans.all() if one.holds(now)]
    shown.sort(key=lambda one: str(one["network"]))
    page = [one for one in shown if one["network"] > call.query["after"]][:limit]
    return {"bans": page, "next": page[-1]["network"] if len(page) == limit else None}


def add_ban(resources: Resources, call: CheckedCall) -> object:
    """Ban a network, or allow it for good."""
    given: Mapping[str, Any] = call.body
    until = int(time.time()) + given["seconds"] if "seconds" in given else 0
    ban = Ban(
        _network(given["network"]),
        until,
        allowed=given.get("allowed", False),
        reason=safe(given.get("reason", ""), 200),
    )
    resources.store.bans.put([ban])
    return _shown_ban(ban)


def remove_ban(resources: Resources, call: CheckedCall) -> object:
    """Remove a network from the list."""
    network = _network(call.path["network"])
    if all(one.network != network for one in resources.store.bans.all()):
        raise Problem(404, f"{show_network(network)} is not in the list")
    resources.store.bans.remove([network])
    return None


def search_audit(resources: Resources, call: CheckedCall) -> object:
    """Return the newest events that are wanted, or with ``after`` the oldest ones from there on."""
    from nacre.daemon.audit.search import as_object

    query = call.query
    search, table = _search(call), _audit(resources)
    limit = query["limit"]
    if "after" in query:
        found = list(islice(search.events(table, after=query["after"]), limit))
    else:
        found = list(search.events(table, limit))
    last = found[-1].id if found else query.get("after", table.head().id)
    return {"events": [as_object(one) for one in found], "last": last}


def count_audit(resources: Resources, call: CheckedCall) -> object:
    """Return how many events of each outcome there are in each span of time."""
    from nacre.daemon.audit.search import MOST_COUNTED, counted

    search, step = _search(call), call.query["step"]
    until = time.time_ns() // 1000 if search.until is None else search.until
    if until - (search.since or 0) > MOST_COUNTED * step * 1_000_000:
        raise Problem(422, f"these are more than {MOST_COUNTED} spans: give another since or step")
    return {"counts": counted(_audit(resources), search, step)}


def _search(call: CheckedCall) -> Search:
    """Return what is wanted.

    :raises Problem: a time or a network is none.
    """
    from nacre.daemon.audit.search import Search

    query, wanted = call.query, {}
    for name in ("user", "event", "outcome", "path"):
        wanted[name] = query.get(name)
    try:
        for name in ("since", "until"):
            text = query.get(name)
            wanted[name] = None if text is None else moment(text, end=name == "until")
        peer = query.get("peer")
        wanted["network"] = None if peer is None else ip_network(peer, strict=False)
    except ValueError as error:
        raise Problem(422, str(error)) from None
    return Search(**wanted)


def _audit(resources: Resources) -> AuditTable:
    """Return the table of events.

    :raises Problem: there is none.
    """
    try:
        return resources.audit()
    except StateError as error:
        raise Problem(409, str(error)) from None
