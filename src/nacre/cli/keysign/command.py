"""``nacre-ssh-keysign``: sign a user's login with a key of this host (ssh-keysign(8)).

A client starts it, and writes one request to its standard input. It needs the rights to read the
host's keys. Its own user, and the name of the connection's address, must be those in the request:
a user can't have the host vouch for another.
"""

from __future__ import annotations

import os
import pwd
import socket
import stat
import sys
from collections.abc import Sequence
from typing import NoReturn

from nacre.cli.common.start import complain, start
from nacre.client.hostbased import HOST_KEYS, local_name
from nacre.config.client.files import SYSTEM_FILE, Config
from nacre.errors import (
    ConfigurationError,
    KeyFormatError,
    MalformedMessage,
    NacreError,
    UnusableKey,
)
from nacre.keys.agents.keysign import MAXIMUM, HostSignatureRequest, VouchedLogin, encode_reply
from nacre.keys.base import PrivateKey
from nacre.keys.files import load_private
from nacre.keys.key import decode_public
from nacre.wire.text import safe

_KINDS = ("dsa", "ecdsa", "ed25519", "rsa")
_MOST_KEY = 1 << 20
_LENGTH = 4


def main() -> NoReturn:
    """Run ``nacre-ssh-keysign``."""
    start(run, "nacre-ssh-keysign", sys.argv[1:])


def run(program: str, words: Sequence[str]) -> int:
    """Answer the request on standard input; return the exit status."""
    if words and words[0] in ("-h", "--help"):
        from nacre.cli.help.pages import print_help

        return print_help(program, "ssh-keysign")
    try:
        keys = _host_keys()
        if not Config.load(SYSTEM_FILE).lookup("").enable_ssh_keysign:
            raise ConfigurationError(
                f"not enabled in {SYSTEM_FILE}: EnableSSHKeysign yes switches it on"
            )
        request = HostSignatureRequest.decode(_read_request())
        signature = _signed(request, keys)
    except (NacreError, OSError) as error:
        return complain(program, error)
    sys.stdout.buffer.write(encode_reply(signature))
    return 0


def _host_keys() -> list[PrivateKey]:
    """Read the keys of this host that are there.

    :raises UnusableKey: none can be read.
    """
    found = []
    reasons = [f"there are no host keys in {HOST_KEYS}"]
    for kind in _KINDS:
        path = f"{HOST_KEYS}/ssh_host_{kind}_key"
        try:
            with open(path, "rb") as file:
                found.append(load_private(file.read(_MOST_KEY)))
        except FileNotFoundError:
            continue
        except (OSError, KeyFormatError, UnusableKey) as error:
            reasons.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    if not found:
        raise UnusableKey(f"could not open any host key: {reasons[-1]}")
    return found


def _read_request() -> bytes:
    """Return the message on standard input, without its length.

    :raises MalformedMessage: it is cut off or too long.
    """
    source = sys.stdin.buffer
    length = int.from_bytes(source.read(_LENGTH), "big")
    if not 0 < length <= MAXIMUM:
        raise MalformedMessage(f"the request must have 1 to {MAXIMUM} bytes, not {length}")
    body = source.read(length)
    if len(body) < length:
        raise MalformedMessage("the request is cut off")
    return body


def _signed(request: HostSignatureRequest, keys: Sequence[PrivateKey]) -> bytes:
    login = VouchedLogin.decode(request.data)
    name = _name_of(request.descriptor)
    if login.host.lower() != name.lower():
        raise UnusableKey(f"not a valid request: this host is {safe(name)}, not {safe(login.host)}")
    user = pwd.getpwuid(os.getuid()).pw_name
    if login.host_user != user:
        raise UnusableKey(f"not a valid request: it is for another user than {safe(user)}")
    shown = decode_public(login.blob)
    if login.algorithm not in shown.signature_algorithms:
        raise UnusableKey("not a valid request: the algorithm is not one of the key's")
    for key in keys:
        if key.public == shown.plain:
            return key.sign(request.data, login.algorithm)
    raise UnusableKey(f"no matching host key found for {shown.plain.label}")


def _name_of(descriptor: int) -> str:
    """Return the name of this host on the connection that a descriptor is.

    :raises MalformedMessage: it is a standard descriptor, which says nothing.
    """
    if descriptor < 3:
        raise MalformedMessage(f"bad descriptor {descriptor}")
    try:
        connected = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except (OSError, OverflowError) as error:
        raise MalformedMessage(f"bad descriptor {descriptor}") from error
    if not connected:
        return local_name(None)
    with socket.socket(fileno=os.dup(descriptor)) as carrier:
        return local_name(carrier)
