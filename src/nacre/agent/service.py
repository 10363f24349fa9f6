"""One client of an agent: its requests, one after another, and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from nacre.agent.keyring import Keyring
from nacre.aio.maybe import settled
from nacre.errors import MalformedMessage, UnusableKey
from nacre.keys.agents import requests
from nacre.keys.agents.messages import MAXIMUM_IDENTITIES, MAXIMUM_MESSAGE, QUERY, Identity
from nacre.keys.base import PublicKey
from nacre.keys.key import decode_public
from nacre.wire.codec import text
from nacre.wire.text import safe

Log = Callable[[str], None]
"""Gets a line about what was refused, and why."""


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keyring: Keyring, log: Log
) -> None:
    """Answer a client's requests until it closes the connection or breaks the protocol."""
    while True:
        try:
            size = int.from_bytes(await reader.readexactly(4), "big")
            if not 1 <= size <= MAXIMUM_MESSAGE:
                log(f"a client announces a message of {size} bytes: its connection is closed")
                return
            message = await reader.readexactly(size)
        except asyncio.IncompleteReadError:
            return
        writer.write(await answer(keyring, message, log))
        await writer.drain()
        await asyncio.sleep(0)  # many requests at once leave the others their turn


async def answer(keyring: Keyring, message: bytes, log: Log) -> bytes:
    """Return the answer to a message; a refusal is logged."""
    try:
        request = requests.decode_request(message)
        return await _HANDLERS[type(request)](keyring, request)
    except _ExtensionFailed as error:
        log(f"refused: {error}")
        return requests.EXTENSION_FAILURE
    except (UnusableKey, MalformedMessage) as error:
        log(f"refused: {error}")
    except Exception as error:
        # A keyring that fails, such as one whose service can't be reached, is not the client's
        # fault: the connection stays open.
        log(f"refused: {type(error).__name__}: {safe(str(error))}")
    return requests.FAILURE


class _ExtensionFailed(UnusableKey):
    """An extension that is supported has failed."""


async def _list(keyring: Keyring, request: requests.ListKeys) -> bytes:
    keys: Iterable[tuple[PublicKey, str]] = await settled(keyring.keys())
    identities = [Identity(key.blob, comment) for key, comment in keys]
    encoded = requests.encode_identities(identities)
    if len(identities) > MAXIMUM_IDENTITIES or len(encoded) > 4 + MAXIMUM_MESSAGE:
        raise UnusableKey(f"{len(identities)} keys of {len(encoded)} bytes are too many to list")
    return encoded


async def _sign(keyring: Keyring, request: requests.SignData) -> bytes:
    key = decode_public(request.blob)
    signature = await settled(keyring.sign(key, request.data, request.algorithm(key)))
    return requests.encode_signature(signature)


async def _add(keyring: Keyring, request: requests.AddKey) -> bytes:
    await settled(keyring.add(request.key, request.constraints))
    return requests.SUCCESS


async def _remove(keyring: Keyring, request: requests.RemoveKey) -> bytes:
    await settled(keyring.remove(decode_public(request.blob)))
    return requests.SUCCESS


async def _remove_all(keyring: Keyring, request: requests.RemoveAllKeys) -> bytes:
    await settled(keyring.remove_all())
    return requests.SUCCESS


async def _lock(keyring: Keyring, request: requests.Lock) -> bytes:
    await settled(keyring.lock(request.passphrase))
    return requests.SUCCESS


async def _unlock(keyring: Keyring, request: requests.Unlock) -> bytes:
    await settled(keyring.unlock(request.passphrase))
    return requests.SUCCESS


async def _add_token(keyring: Keyring, request: requests.AddToken) -> bytes:
    await settled(keyring.add_token(request.provider, request.pin, request.constraints))
    return requests.SUCCESS


async def _remove_token(keyring: Keyring, request: requests.RemoveToken) -> bytes:
    await settled(keyring.remove_token(request.provider, request.pin))
    return requests.SUCCESS


async def _extension(keyring: Keyring, request: requests.UseExtension) -> bytes:
    if request.name == QUERY:
        content = b"".join(map(text, keyring.extensions))
        return requests.encode_extension(QUERY, content)
    if request.name not in keyring.extensions:
        raise UnusableKey(f"the extension {safe(request.name, 64)} is not supported")
    try:
        content = await settled(keyring.extension(request.name, request.data))
    except (UnusableKey, MalformedMessage) as error:
        raise _ExtensionFailed(f"{request.name}: {error}") from None
    return requests.encode_extension(request.name, content)


_HANDLERS: dict[type, Callable[[Keyring, Any], Awaitable[bytes]]] = {
    requests.ListKeys: _list,
    requests.SignData: _sign,
    requests.AddKey: _add,
    requests.RemoveKey: _remove,
    requests.RemoveAllKeys: _remove_all,
    requests.Lock: _lock,
    requests.Unlock: _unlock,
    requests.AddToken: _add_token,
    requests.RemoveToken: _remove_token,
    requests.UseExtension: _extension,
}
