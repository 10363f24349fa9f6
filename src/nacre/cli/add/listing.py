"""``nacre add -l`` and ``-L``: what the agent holds."""

from __future__ import annotations

from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddOptions, AddRefused
from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys.fingerprint import family, fingerprint
from nacre.keys.key import decode_public
from nacre.wire.codec import WireReader
from nacre.wire.text import safe

_LONGEST = 4096


async def run(agent: Agent, options: AddOptions) -> bool:
    """List the keys; return whether there are any."""
    try:
        held = await agent.identities()
    except UnusableKey as error:
        raise AddRefused(f"error fetching identities: {error}") from None
    if not held:
        print("The agent has no identities.")
    for blob, comment in held:
        shown = safe(comment, _LONGEST)
        print(_described(blob, shown, options) if "l" in options else f"{_line(blob)} {shown}")
    return bool(held)


def _described(blob: bytes, comment: str, options: AddOptions) -> str:
    mark = fingerprint(blob, options.hash_name)
    try:
        key = decode_public(blob)
    except KeyFormatError:
        # The fingerprint tells the owner which key it is; its size is not known.
        return f"0 {mark} {comment} ({_type(blob)})"
    return f"{key.bits} {key.fingerprint(options.hash_name)} {comment} ({family(key.type)})"


def _line(blob: bytes) -> str:
    from base64 import b64encode

    return f"{_type(blob)} {b64encode(blob).decode('ascii')}"


def _type(blob: bytes) -> str:
    try:
        return safe(WireReader(blob).text(), 64)
    except MalformedMessage:
        return "unknown"
