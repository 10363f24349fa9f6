"""The records of a trace as a page of HTML: one file, which loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

from nacre.cli.trace.style import STYLE
from nacre.cli.trace.tracing import PHASES, Record

MESSAGES = 5000
"""Messages that a page shows. A longer session goes on as its first messages do."""

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
"""


class TracePage:
    """Collects records and makes a page of them.

    :param host: how the user named the host.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._records: list[Record] = []
        self._messages = 0

    def add(self, record: Record) -> None:
        """Take a record. Of messages beyond MESSAGES, only the number is kept."""
        if record["event"] == "message":
            self._messages += 1
            if self._messages > MESSAGES:
                return
        self._records.append(record)

    def html(self) -> str:
        """Return the page."""
        title = escape(f"SSH to {self._host}")
        parts = [_HEAD.format(title=title, style=STYLE), f"<header><h1>{title}</h1>"]
        parts += [*self._summary(), "</header>\n<main>\n", *self._times(), *self._algorithms()]
        parts += [*self._diagram(), "</main>\n</body>\n</html>\n"]
        return "".join(parts)

    def _of(self, event: str) -> list[Record]:
        return [record for record in self._records if record["event"] == event]

    # --- the parts of the page ---

    def _summary(self) -> Iterator[str]:
        rows: list[tuple[str, object]] = []
        for version in self._of("version"):
            rows += [("Client", version["client"]), ("Server", version["server"])]
        for keys in self._of("keys")[:1]:
            if "host_key" in keys:
                about = f"{keys['host_key']}, {keys['bits']} bits, {keys['fingerprint']}"
                rows.append(("Host key", about))
            rows.append(("Session id", keys["session_id"]))
        for tried in self._of("authentication"):
            about = f"{tried['method']} {tried['detail']}".strip()
            rows.append(("Login", f"{tried['user']}: {about}: {tried['outcome']}"))
        for result in self._of("result"):
            shown = result["error"] or f"exit status {result['exit_status']}"
            rows.append(("Result", shown))
        yield _definitions(rows)

    def _times(self) -> Iterator[str]:
        """Yield the bars: how long each phase has taken."""
        begins = {record["phase"]: record["time"] for record in self._of("phase")}
        if not begins:
            return
        end = max(record["time"] for record in self._records)
        total = max(end, 1e-6)
        ends = [*list(begins.values())[1:], end]
        yield '<section><h2>Time</h2>\n<ol class="bars">\n'
        for (phase, start), stop in zip(begins.items(), ends, strict=True):
            left, width = start / total * 100, max((stop - start) / total * 100, 0.5)
            took = f"{(stop - start) * 1000:.1f} ms"
            place = f"margin-left:{min(left, 99.5):.2f}%;width:{width:.2f}%"
            yield f"<li><span>{phase} {PHASES[phase]}</span> <b>{took}</b>"
            yield f'<i><i style="{place}"></i></i></li>\n'
        yield f"</ol>\n<p>{end * 1000:.1f} ms from the start to the last message.</p></section>\n"

    def _algorithms(self) -> Iterator[str]:
        chosen = self._of("negotiated")
        if not chosen:
            return
        yield "<section><h2>Algorithms</h2>\n<p>Names that one side alone has are faint.</p>\n"
        for record in chosen:
            client, server = record["client"], record["server"]
            yield (
                f'<details class="choice"><summary><span>{escape(record["what"])}</span> '
                f"<mark>{escape(record['chosen'])}</mark></summary>\n"
                f"<p>{escape(record['why'])}</p>\n<div>"
                f"{_names('Client', client, server, record['chosen'])}"
                f"{_names('Server', server, client, record['chosen'])}</div></details>\n"
            )
        for strict in self._of("strict kex")[:1]:
            yield f"<p>Strict key exchange: {'on' if strict['on'] else 'off'}.</p>\n"
        yield "</section>\n"

    def _diagram(self) -> Iterator[str]:
        """Yield the sequence diagram: a part for each phase, a line for each record."""
        yield "<section><h2>Messages</h2>\n"
        yield '<p class="ends"><b>Client</b><b>Server</b></p>\n'
        opened = False
        for record in self._records:
            if record["event"] == "phase":
                yield ("</div>\n" if opened else "") + (
                    f"<h3>Phase {record['phase']}: {escape(record['name'])}</h3>\n"
                    '<div class="lines">\n'
                )
                opened = True
            elif (show := _ROWS.get(record["event"])) is not None:
                yield show(record)
        yield "</div>\n" if opened else ""
        if self._messages > MESSAGES:
            yield f"<p>{self._messages - MESSAGES} further messages are left out.</p>\n"
        yield "</section>\n"


# --- the lines of the diagram ---


def _version(record: Record) -> str:
    before = "".join(_note(line) for line in record["before"])
    sent = _arrow("out", record, record["client"], {})
    received = _arrow("in", record, record["server"], {"protocol": record["protocol"]})
    return before + sent + received


def _message(record: Record) -> str:
    name = f"{record['number']} {record['name']}"
    return _arrow(record["direction"], record, name, record["fields"])


def _keys(record: Record) -> str:
    shown = {name: record[name] for name in ("host_key", "bits", "fingerprint") if name in record}
    fields = shown | {"session_id": record["session_id"]}
    return (
        f'<details class="note"><summary><b>New keys are in use</b>{_time(record)}</summary>'
        f"{_definitions(fields.items())}</details>\n"
    )


def _authentication(record: Record) -> str:
    tried = f"{record['method']} {record['detail']}".strip()
    rest = ", ".join(record["can_continue"])
    text = f"{record['user']}: {tried}: {record['outcome']}"
    return _note(f"{text}; can continue: {rest}" if rest else text)


def _request(record: Record) -> str:
    answer = "granted" if record["success"] else "refused"
    return _note(f"Channel {record['channel']}: the request was {answer}")


def _ended(record: Record) -> str:
    return _note(f"The connection ended: {record['error'] or 'closed by this side'}")


_ROWS: dict[str, Callable[[Record], str]] = {
    "authentication": _authentication,
    "banner": lambda record: _note(record["text"]),
    "channel": lambda record: _note(f"Channel {record['channel']} is open"),
    "ended": _ended,
    "keys": _keys,
    "message": _message,
    "request": _request,
    "version": _version,
}


def _arrow(direction: str, record: Record, name: str, fields: dict[str, Any]) -> str:
    kind = "out" if direction == "out" else "in"
    told = "to the server" if kind == "out" else "from the server"
    inner = f'<b>{escape(name)}</b><span class="hidden"> {told}</span>{_time(record)}'
    if not fields:
        return f'<div class="{kind}"><p class="summary">{inner}</p></div>\n'
    return (
        f'<details class="{kind}"><summary>{inner}</summary>'
        f"{_definitions(fields.items())}</details>\n"
    )


def _time(record: Record) -> str:
    return f" <small>{record['time'] * 1000:.1f} ms</small>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>\n'


def _definitions(rows: Any) -> str:
    shown = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(_text(v))}</dd>" for k, v in rows)
    return f"<dl>{shown}</dl>\n" if shown else ""


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _names(title: str, names: Sequence[str], others: Sequence[str], chosen: str) -> str:
    shown = []
    for name in names:
        mark = f"<mark>{escape(name)}</mark>" if name == chosen else escape(name)
        faint = "" if name in others else ' class="faint"'
        shown.append(f"<li{faint}>{mark}</li>")
    return f"<div><h4>{title}</h4><ol>{''.join(shown)}</ol></div>"
