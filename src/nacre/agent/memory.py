"""Keys in memory: what ``nacre agent`` holds, and what each client may do with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from nacre.agent.keyring import AgentClient, Keyring
from nacre.agent.lock import AgentLock
from nacre.agent.providers import INTERNAL
from nacre.agent.security_keys import SecurityKeys, is_security_key
from nacre.errors import MalformedMessage, UnusableKey
from nacre.keys.agents.constraints import Constraints
from nacre.keys.agents.destinations import Binding, refusal
from nacre.keys.agents.messages import MAXIMUM_IDENTITIES, MAXIMUM_MESSAGE, SESSION_BIND
from nacre.keys.agents.requests import decode_session_bind
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.key import decode_public
from nacre.keys.rsa1_text import RSA1
from nacre.keys.signed_data import SignedLogin, decode_login
from nacre.value import replace
from nacre.wire.codec import WireReader
from nacre.wire.text import safe

MAXIMUM_BINDINGS = 16
"""Sessions that a connection can be bound to; OpenSSH's agent has the same bound."""

_SLOW = {"ssh-rsa", "ssh-dss"}
"""Types of keys that take milliseconds to sign: others need less than a call in a thread."""


Confirm = Callable[[str], Awaitable[bool]]
"""Gets a question for the agent's user; returns whether the answer is yes."""


async def _nobody(question: str) -> bool:
    return False


def _since_boot() -> float:
    """Return seconds of a clock that goes on while the machine sleeps, where there is one."""
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class HeldIdentity:
    """A key in memory.

    :ivar key: the private key, which may have a certificate.
    :ivar constraints: the conditions for its use.
    :ivar deadline: when it is forgotten, by the keyring's clock; None for never.
    :ivar timer: forgets it then.
    """

    def __init__(self, key: PrivateKey, constraints: Constraints, deadline: float | None) -> None:
        self.key = key
        self.constraints = constraints
        self.deadline = deadline
        self.timer: asyncio.TimerHandle | None = None

    @property
    def listed_size(self) -> int:
        """Bytes that it takes in the list of keys."""
        comment = self.key.comment.encode("utf-8", "surrogateescape")
        return 8 + len(self.key.public.blob) + len(comment)


class MemoryKeyring(Keyring):
    """Keys in memory, with lifetimes, confirmation, restricted destinations and a lock.

    :param confirm: asks the user before a key is used that needs it; by default the answer is no.
    :param lifetime: seconds after which keys are forgotten that came without a lifetime.
    :param security_keys: signs with security keys.
    :param hash_name: the hash of the fingerprints that the user is shown.
    :param clock: returns seconds.
    :ivar guard: the agent's lock.
    """

    def __init__(
        self,
        *,
        confirm: Confirm = _nobody,
        lifetime: int | None = None,
        security_keys: SecurityKeys | None = None,
        hash_name: str = "sha256",
        clock: Callable[[], float] = _since_boot,
    ) -> None:
        self._held: dict[PublicKey, HeldIdentity] = {}
        self._confirm = confirm
        self._lifetime = lifetime
        self._security_keys = security_keys or SecurityKeys()
        self._hash_name = hash_name
        self._clock = clock
        self._asking = asyncio.Lock()
        self.guard = AgentLock()

    def for_client(self, client: AgentClient) -> ClientKeyring:
        return ClientKeyring(self)

    def keys(self) -> list[tuple[PublicKey, str]]:
        return [(one.key.public, one.key.comment) for one in self.held()]

    async def sign(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        return await self.sign_with(self.find(key), data, algorithm)

    @property
    def remote_libraries(self) -> bool:
        """Whether clients that the agent is forwarded to may name libraries."""
        return self._security_keys.remote_libraries

    def held(self) -> list[HeldIdentity]:
        """Return what is held; keys whose time is over are forgotten first."""
        now = self._clock()
        for one in list(self._held.values()):
            if one.deadline is not None and one.deadline <= now:
                self._forget(one)
        return list(self._held.values())

    def find(self, key: PublicKey) -> HeldIdentity:
        """Return what is held of ``key``.

        :raises UnusableKey: it is not held.
        """
        self.held()
        found = self._held.get(key)
        if found is None:
            raise UnusableKey(f"the agent does not hold {key!r}")
        return found

    def add(self, key: PrivateKey, constraints: Constraints) -> None:
        if key.public.type == RSA1:
            raise UnusableKey("keys of SSH-1 are not held: clients of SSH-2 could not use them")
        provider = self._security_keys.provider(key.public, constraints.provider)
        constraints = replace(constraints, provider=provider)
        lifetime = self._lifetime if constraints.lifetime is None else constraints.lifetime
        deadline = None if lifetime is None else self._clock() + lifetime
        others = [one for one in self.held() if one.key.public != key.public]
        new = HeldIdentity(key, constraints, deadline)
        size = 5 + sum(one.listed_size for one in (*others, new))
        if len(others) >= MAXIMUM_IDENTITIES or size > MAXIMUM_MESSAGE:
            raise UnusableKey(f"the agent holds {len(others)} keys: clients could not list more")
        if (old := self._held.get(key.public)) is not None:
            self._forget(old)
        self._held[key.public] = new
        if lifetime is not None:
            loop = asyncio.get_running_loop()
            new.timer = loop.call_later(lifetime, self._forget, new)

    def remove(self, key: PublicKey) -> None:
        self._forget(self.find(key))

    def remove_all(self) -> None:
        for one in list(self._held.values()):
            self._forget(one)

    def _forget(self, one: HeldIdentity) -> None:
        if self._held.get(one.key.public) is one:
            del self._held[one.key.public]
        if one.timer is not None:
            one.timer.cancel()

    async def lock(self, passphrase: bytes) -> None:
        await self.guard.lock(passphrase)

    async def unlock(self, passphrase: bytes) -> None:
        await self.guard.unlock(passphrase)

    async def sign_with(
        self, one: HeldIdentity, data: bytes, algorithm: str, purpose: str = ""
    ) -> bytes:
        """Sign, after the user has agreed if the key needs it.

        :param purpose: a line about what is signed, for the user.
        :raises UnusableKey: the user does not agree, or the key can't sign.
        """
        key = one.key
        if one.constraints.confirm and not await self._confirmed(key, purpose):
            raise UnusableKey(f"the use of {key.public!r} was not confirmed")
        if is_security_key(key.public):
            return await self._security_keys.sign(key, one.constraints.provider, data)
        if key.public.plain.type in _SLOW:
            return await asyncio.to_thread(key.sign, data, algorithm)
        return key.sign(data, algorithm)

    async def _confirmed(self, key: PrivateKey, purpose: str) -> bool:
        shown = key.public.fingerprint(self._hash_name)
        question = f"Allow use of key {safe(key.comment)}?\nKey fingerprint {shown}."
        async with self._asking:
            return await self._confirm(f"{question}\n{purpose}" if purpose else question)


class ClientKeyring(Keyring):
    """A :class:`MemoryKeyring` as one client sees it.

    It knows the SSH sessions that the client's connection is bound to, and hides the keys that are
    not for them.
    """

    extensions = (SESSION_BIND,)

    def __init__(self, keyring: MemoryKeyring) -> None:
        self._keyring = keyring
        self._bindings: list[Binding] = []
        self._binding_failed = False

    def keys(self) -> list[tuple[PublicKey, str]]:
        if self._keyring.guard.locked:
            return []
        return [
            (one.key.public, one.key.comment)
            for one in self._keyring.held()
            if self._refusal(one, None) is None
        ]

    async def sign(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        self._check_unlocked()
        one = self._keyring.find(key)
        purpose = ""
        if one.constraints.destinations:
            login = self._check_login(one, data)
            purpose = f"It is for a login as {safe(login.user)} to a host that the key is for."
        return await self._keyring.sign_with(one, data, algorithm, purpose)

    def _check_login(self, one: HeldIdentity, data: bytes) -> SignedLogin:
        """Return the login that is to be signed, if the key may be used for it.

        :raises UnusableKey: it may not.
        """
        key = one.key.public
        if not self._bindings:
            raise UnusableKey(f"{key!r} is for some hosts: the client has not told which one it is")
        try:
            login = decode_login(data, key)
        except MalformedMessage as error:
            raise UnusableKey(f"{key!r} is for some hosts: {error}") from None
        self._check_permitted(one, login.user)
        last = self._bindings[-1]
        if login.session_id != last.session_id:
            raise UnusableKey("the login is not for the session that the connection is bound to")
        if login.host_key is None and len(self._bindings) > 1:
            raise UnusableKey("a login over a forwarded connection does not name the host's key")
        if login.host_key is not None and login.host_key != last.host_key:
            raise UnusableKey("the login is not for the host that the connection is bound to")
        return login

    def _refusal(self, one: HeldIdentity, user: str | None) -> str | None:
        if one.constraints.destinations and self._binding_failed:
            return "the client could not bind the connection to its session"
        return refusal(one.constraints.destinations, self._bindings, user, time.time())

    def _check_permitted(self, one: HeldIdentity, user: str | None) -> None:
        reason = self._refusal(one, user)
        if reason is not None:
            raise UnusableKey(f"{one.key.public!r}: {reason}")

    def _check_unlocked(self) -> None:
        if self._keyring.guard.locked:
            raise UnusableKey("the agent is locked")

    def add(self, key: PrivateKey, constraints: Constraints) -> None:
        self._check_unlocked()
        local = constraints.provider.lower() in ("", INTERNAL)
        if self._bindings and not local and not self._keyring.remote_libraries:
            raise UnusableKey("a client that the agent is forwarded to must not name a library")
        # A client that may not use a key may not lift its restriction either.
        for one in self._keyring.held():
            if one.key.public == key.public:
                self._check_permitted(one, None)
        self._keyring.add(key, constraints)

    def remove(self, key: PublicKey) -> None:
        self._check_unlocked()
        one = self._keyring.find(key)
        self._check_permitted(one, None)
        self._keyring.remove(key)

    def remove_all(self) -> None:
        self._check_unlocked()
        self._keyring.remove_all()

    async def lock(self, passphrase: bytes) -> None:
        await self._keyring.lock(passphrase)

    async def unlock(self, passphrase: bytes) -> None:
        await self._keyring.unlock(passphrase)

    def extension(self, name: str, data: bytes) -> bytes:
        # A connection that should be bound and is not must not count as a local one.
        try:
            self._check_unlocked()
            self._bind(data)
        except (UnusableKey, MalformedMessage):
            self._binding_failed = True
            raise
        return b""

    def _bind(self, data: bytes) -> None:
        fields = decode_session_bind(data)
        key = decode_public(fields.host_key)
        algorithm = safe(WireReader(fields.signature).string())
        if not key.plain.verify(fields.signature, fields.session_id, algorithm):
            raise UnusableKey("the host key's signature over the session does not verify")
        if any(not one.forwarding for one in self._bindings):
            raise UnusableKey("the connection is already bound to the session of a login")
        if any(one.session_id == fields.session_id for one in self._bindings):
            if Binding(key, fields.session_id, fields.forwarding) in self._bindings:
                return
            raise UnusableKey("the connection is already bound to this session otherwise")
        if len(self._bindings) == MAXIMUM_BINDINGS:
            raise UnusableKey(f"a connection is bound to at most {MAXIMUM_BINDINGS} sessions")
        self._bindings.append(Binding(key, fields.session_id, fields.forwarding))
