"""``nacre add -s`` and ``-e``: the agent uses the keys of a PKCS#11 token, or no longer.

``-K`` is refused: what makes files of the keys that a security key keeps is another program.
"""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path

from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddOptions, AddRefused
from nacre.cli.add.constraints import constraints
from nacre.cli.add.keyfiles import public_key
from nacre.cli.add.talk import ask_secret, complain
from nacre.errors import UnusableKey
from nacre.value import replace


async def run(agent: Agent, options: AddOptions) -> bool:
    """Add or remove a token, whose library the agent loads."""
    if "K" in options:
        raise AddRefused(
            "-K: make files of the resident keys with `nacre keygen -K`, and add these files"
        )
    added = options.value("s")
    library = added or options.value("e") or ""
    if added is None:
        return await _update("remove", library, agent.remove_token(library), options)
    with_constraints = replace(
        constraints(options),
        certificates=tuple(public_key(Path(name))[0] for name in options.files),
        certificates_only="C" in options,
    )
    pin = await ask_secret("Enter passphrase for PKCS#11: ")
    return await _update("add", library, agent.add_token(library, pin, with_constraints), options)


async def _update(
    deed: str, library: str, work: Coroutine[None, None, None], options: AddOptions
) -> bool:
    try:
        await work
    except UnusableKey as error:
        raise AddRefused(f'Could not {deed} card "{library}": {error}') from None
    if "q" not in options:
        complain(f"Card {'added' if deed == 'add' else 'removed'}: {library}")
    return True
