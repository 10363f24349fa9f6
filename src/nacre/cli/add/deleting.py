"""``nacre add -D`` and ``-d``: the agent forgets keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddOptions, AddRefused
from nacre.cli.add.keyfiles import STANDARD_INPUT, chosen, public_key
from nacre.cli.add.talk import complain
from nacre.client.userkeys import beside
from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys import PublicKey, load_public
from nacre.keys.fingerprint import family
from nacre.wire.text import safe


async def run(agent: Agent, options: AddOptions) -> bool:
    """Remove all keys, or those of files; return whether all of them were removed."""
    if "D" in options:
        await _remove_all(agent, options)
        return True
    files = chosen(options)
    removed = [await _remove_file(agent, path, options) for path in files]
    return bool(removed) and all(removed)


async def _remove_all(agent: Agent, options: AddOptions) -> None:
    try:
        await agent.remove_all()
    except UnusableKey as error:
        raise AddRefused(f"Failed to remove all identities: {error}") from None
    if "q" not in options:
        print("All identities removed.", file=sys.stderr)


async def _remove_file(agent: Agent, path: Path, options: AddOptions) -> bool:
    """Remove the key of a file, and the certificate beside it."""
    if path == STANDARD_INPUT:
        removed = [
            await _remove(agent, key, comment, "(stdin)", options)
            for key, comment in _given(options)
        ]
        return bool(removed) and all(removed)
    try:
        found = public_key(path)
    except UnusableKey as error:
        print(f"Bad key file {safe(str(path))}: {error}")
        return False
    key, comment = found
    done = "C" not in options and await _remove(agent, key, comment, str(path), options)
    if "k" in options or key.plain is not key:
        return done
    certificate = beside(path)
    try:
        if not certificate.exists():
            return done
        with_comment = public_key(certificate)
    except UnusableKey as error:
        complain(f'Failed to load certificate "{certificate}": {error}')
        return done
    if with_comment[0].plain != key:
        complain(f"Certificate {certificate} does not match private key {path}")
        return False
    return await _remove(agent, *with_comment, str(certificate), options) or done


def _given(options: AddOptions) -> Iterator[tuple[PublicKey, str]]:
    """Yield the public keys on standard input, a line each."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        try:
            key, comment = load_public(text)
        except KeyFormatError as error:
            complain(f"(stdin):{number}: invalid key: {error}")
            continue
        certified = key.plain is not key
        if not (("C" in options and not certified) or ("k" in options and certified)):
            yield key, comment


async def _remove(
    agent: Agent, key: PublicKey, comment: str, source: str, options: AddOptions
) -> bool:
    try:
        await agent.remove(key)
    except UnusableKey as error:
        complain(f'Could not remove identity "{source}": {error}')
        return False
    if "q" not in options:
        complain(f"Identity removed: {source} {family(key.type)} ({safe(comment) or 'no comment'})")
    return True
