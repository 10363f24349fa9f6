"""Every message number in every state of a channel, both roles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import RemoteProtocolError
from nacre.protocol.phases import Role
from nacre.protocol.requests import KNOWN_REQUESTS
from nacre.ssh2.connection import messages as m
from nacre.ssh2.connection.mux import HANDLERS
from ssh2.connection.pair import End, Pair

MESSAGES = {
    80: m.GlobalRequest("a@x", False, b""),
    81: m.RequestSuccess(b""),
    82: m.RequestFailure(),
    90: m.ChannelOpen("tun@openssh.com", 9, 10, 10, b""),
    91: m.ChannelOpenConfirmation(0, 3, 10, 10, b""),
    92: m.ChannelOpenFailure(0, 1, "no", ""),
    93: m.ChannelWindowAdjust(0, 10),
    94: m.ChannelData(0, b"x"),
    95: m.ChannelExtendedData(0, 1, b"x"),
    96: m.ChannelEof(0),
    97: m.ChannelClose(0),
    98: m.ChannelRequest(0, "a@x", False, b""),
    99: m.ChannelSuccess(0),
    100: m.ChannelFailure(0),
}

ALWAYS = {80, 81, 82, 90}
ESTABLISHED = {93, 94, 95, 96, 97, 98, 99, 100}
WITHOUT_EFFECT = {"eof received": {94, 95, 96}, "closed": ESTABLISHED}
LEGAL = {
    "none": ALWAYS,
    "requested": ALWAYS | {91, 92},
    "offered": ALWAYS,
    "open": ALWAYS | ESTABLISHED,
    "eof received": ALWAYS | ESTABLISHED,
    "eof sent": ALWAYS | ESTABLISHED,
    "close sent": ALWAYS | ESTABLISHED,
    "eof received, close sent": ALWAYS | ESTABLISHED,
    "closed": ALWAYS | ESTABLISHED,
}


def end_in(role, state):
    """An end whose channel 0 is in ``state``."""
    end = End(role)
    if state == "none":
        return end
    if state == "offered":
        end.receive(m.ChannelOpen("tun@openssh.com", 3, 10, 10, b""))
        return end
    end.mux.open_channel("tun@openssh.com")
    if state == "requested":
        return end
    end.receive(m.ChannelOpenConfirmation(0, 3, 10, 10, b""))
    if "eof received" in state:
        end.receive(m.ChannelEof(0))
    if state == "eof sent":
        end.mux.send_eof(0)
    if "close sent" in state:
        end.mux.close_channel(0)
    if state == "closed":
        end.receive(m.ChannelClose(0))
    return end


def test_the_handlers_are_the_messages_of_rfc_4254():
    assert set(HANDLERS) == set(MESSAGES) == set(m.MESSAGES)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", LEGAL)
@pytest.mark.parametrize("number", MESSAGES)
def test_a_message_is_legal_exactly_where_the_table_says(role, state, number):
    end = end_in(role, state)
    if number in LEGAL[state]:
        before = list(end.events), list(end.outbox.payloads)
        end.receive(MESSAGES[number])
        if number in WITHOUT_EFFECT.get(state, ()):
            assert (list(end.events), list(end.outbox.payloads)) == before
        return
    before = list(end.events), list(end.outbox.payloads)
    with pytest.raises(RemoteProtocolError):
        end.receive(MESSAGES[number])
    assert (list(end.events), list(end.outbox.payloads)) == before


@pytest.mark.parametrize("number", MESSAGES)
def test_messages_are_decoded_whole(number):
    whole = MESSAGES[number].encode()
    for wrong in (whole[:cut] for cut in range(1, len(whole))):
        end = end_in(Role.CLIENT, "open")
        with pytest.raises(RemoteProtocolError):
            end.receive(wrong)


_NAMES = st.sampled_from(["session", "tun@openssh.com", *KNOWN_REQUESTS]) | st.text(max_size=8)
_SMALL = st.integers(0, 3) | st.sampled_from([0x7FFFFFFF, 0xFFFFFFFF])
_FIELDS = {
    int: _SMALL,
    str: _NAMES,
    bytes: st.binary(max_size=40),
    bool: st.booleans(),
}


def shaped(kind):
    fields = kind.__annotations__
    types = {"Text": str, "U32": int, "Bool": bool, "String": bytes, "Rest": bytes}
    return st.builds(kind, **{name: _FIELDS[types[field]] for name, field in fields.items()}).map(
        lambda value: value.encode()
    )


_PAYLOADS = st.one_of(*[shaped(kind) for kind in m.MESSAGES.values()]) | st.builds(
    lambda number, rest: bytes((number,)) + rest,
    st.sampled_from(sorted(m.MESSAGES)),
    st.binary(max_size=60),
)


@given(st.sampled_from(list(Role)), st.lists(_PAYLOADS, max_size=30))
def test_any_payload_ends_in_events_or_in_the_protocols_own_error(role, payloads):
    pair = Pair()
    pair.session()
    pair.session()
    end = pair.client if role is Role.CLIENT else pair.server
    end.mux.open_channel("tun@openssh.com")
    for payload in payloads:
        try:
            end.receive(payload)
        except RemoteProtocolError as error:
            shown = str(error)
            break
    else:
        shown = ""
    assert shown.isprintable()
