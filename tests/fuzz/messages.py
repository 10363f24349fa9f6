"""Strategies for messages of SSH-2 whose layout is right and whose values are anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

from hypothesis import strategies as st

from nacre.protocol.options import algorithms
from nacre.protocol.requests import KNOWN_REQUESTS
from nacre.ssh2.auth import messages as auth
from nacre.ssh2.connection.messages import MESSAGES
from nacre.ssh2.transport import messages as transport
from nacre.wire.message import Message, Record

Kinds = Mapping[str, st.SearchStrategy[Any]]
"""The values of a field, by its kind."""

NAMES = st.sampled_from(
    [*KNOWN_REQUESTS, *algorithms().kex, "session", "x11", "direct-tcpip", "ssh-userauth",
     "ssh-connection", "none", "password", "publickey", "keyboard-interactive", "alice",
     "tcpip-forward", "keepalive@openssh.com", "hostkeys-00@openssh.com", "ssh-ed25519"]
)  # fmt: skip
U32 = st.sampled_from([0, 1, 2, 31, 32, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
TEXT = NAMES | st.text(max_size=40) | st.binary(max_size=10).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)  # fmt: skip
NAME = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","),
               min_size=1, max_size=20)  # fmt: skip


def records(kind: type[Record], values: Kinds | None = None) -> st.SearchStrategy[Record]:
    """Return a strategy for messages or fields of a kind; ``values`` are those of the fields."""
    hints, by_kind = get_type_hints(kind, include_extras=True), values or BY_KIND
    return st.builds(kind, **{n: by_kind[hints[n].__metadata__[0]] for n in kind.FIELDS})


BY_KIND: dict[str, st.SearchStrategy[Any]] = {
    "u8": st.integers(0, 255),
    "u32": U32,
    "u64": st.integers(0, (1 << 64) - 1),
    "boolean": st.booleans(),
    "string": st.binary(max_size=80),
    "text": TEXT,
    "mpint": st.integers(-(1 << 300), 1 << 300) | st.integers(1 << 2047, 1 << 2048),
    "name_list": st.lists(NAMES | NAME, max_size=12).map(tuple),
    "cookie": st.binary(min_size=16, max_size=16),
}
BY_KIND["rest"] = st.binary(max_size=60) | st.deferred(
    lambda: st.sampled_from([*KNOWN_REQUESTS.values(), *FIELDS]).flatmap(records).map(
        lambda made: made.encode()
    )
)  # fmt: skip

FIELDS: list[type[Record]] = [
    auth.PublicKeyQuery,
    auth.PublicKeyRequest,
    auth.PasswordRequest,
    auth.PasswordChange,
    auth.InteractiveRequest,
]
KINDS: list[type[Message]] = [
    kind
    for module in (transport, auth)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Message) and hasattr(kind, "NUMBER")
    and kind is not transport.ExtInfo
] + list(MESSAGES.values())  # fmt: skip

PAYLOADS = st.sampled_from(KINDS).flatmap(records).map(lambda made: made.encode())
