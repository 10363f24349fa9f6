"""How a client proves who its user is: which methods, keys and secrets, in which order."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from nacre.agent.client import Agent
from nacre.client.secrets import KEYBOARD_INTERACTIVE, PASSWORD, Prompter, UserSecrets
from nacre.client.userkeys import AgentKey, CertificateKey, KeySources, LockedFile, UserKey
from nacre.errors import AuthenticationFailed, PassphraseRequired, UnusableKey
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.rsa1_text import RSA1
from nacre.protocol.asks import (
    Answer,
    AskAuthentication,
    AskNewPassword,
    AskPrompts,
    AskSignature,
    Denied,
    GiveUp,
    Signature,
    TryGSSAPIKeyex,
    TryGSSAPIWithMIC,
    TryKeyboardInteractive,
    TryNone,
    TryPublicKey,
)
from nacre.protocol.events import AuthResult
from nacre.protocol.options import choose, usable_with
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.client.hostbased import HostVouching
    from nacre.gss.initiator import ContextInitiator

HOSTBASED, PUBLICKEY = "hostbased", "publickey"
_GSSAPI_KEYEX = "gssapi-keyex"
GSSAPI_METHODS = (_GSSAPI_KEYEX, "gssapi-with-mic")

METHODS = (PUBLICKEY, PASSWORD, KEYBOARD_INTERACTIVE)

UNNAMED_OFFERS = 5
"""Keys not named by the user that are offered before a human is asked for a secret.

A server counts each as a failure and disconnects at six by default: one is left for a password.
"""

UNNAMED_BEFORE_PASSWORD = 2
"""The same before a password that was given: many servers disconnect at three failures."""

_SHA1 = "ssh-rsa"


def _permission(algorithm: str) -> str:
    """Return what permits a signature algorithm that this side does not use."""
    profile = 'profile="legacy" or ' if algorithm in choose("signature", None, "legacy") else ""
    return f"{profile}PubkeyAcceptedAlgorithms=+{algorithm} permits it"


def _ignore(text: str) -> None:
    pass


def _takes_rsa1(ask: AskAuthentication) -> bool:
    """Return whether the server takes RSA1 keys: a server of SSH-1 takes no others."""
    return ask.server_algorithms == (RSA1,)


def _is_locked(key: UserKey) -> bool:
    """Return whether a passphrase of a file is needed to sign."""
    return isinstance(key.signer if isinstance(key, CertificateKey) else key, LockedFile)


class Identities:
    """Answers the questions of a client's authentication.

    Keys come in this order: those in hand, named certificates, named files (from the agent where it
    has them) each with the certificate beside it, the agent's other keys, the default files.
    Encrypted files are decrypted when a server accepts their
    key. With a key in hand the first request is a signed one, and ``none`` is the last; otherwise
    ``none`` is the first, to learn which methods the server takes.

    :param user: the user name, and with ``host`` the text of prompts.
    :param keys: private keys in hand.
    :param files: key files by name; None means the default ones, where they exist.
    :param certificates: files with certificates, of keys that are among the others.
    :param strict_files: end the login with :class:`~nacre.errors.UnusableKey` if one of ``files``
        can't be used; otherwise ``notice`` and the final error tell it.
    :param agent: the agent to ask, or None.
    :param identities_only: leave out keys of the agent that no file names.
    :param password: sent once, to ``password`` or to a ``keyboard-interactive`` round with one
        prompt without echo.
    :param passphrase: tried on every encrypted key file.
    :param prompt: asks a human for any other secret; without it none is asked for.
    :param methods: methods to use, in order.
    :param signatures: signature algorithms to use in SSH-2; by default all but legacy ones.
    :param prompts: how often a human is asked for the same secret.
    :param trusted: returns whether the host may learn secrets.
    :param key_provider: the path of a library that reaches security keys, or ``internal`` for none;
        by default ``SSH_SK_PROVIDER`` of the environment counts.
    :param keep: gets each key of a file that has signed, and the file's name.
    :param notice: gets text for the human, and ``debug`` details.
    :ivar rsa_bits: the least size of an RSA key to log in with; shorter ones are left out.
    :ivar gssapi: makes the security contexts of the methods of GSSAPI, or None.
    :ivar vouching: the keys of this host for ``hostbased``, or None.
    :ivar tried: what failed so far, such as ``publickey ssh-ed25519 SHA256:…``.
    """

    def __init__(
        self,
        user: str,
        host: str,
        *,
        keys: Sequence[PrivateKey] = (),
        files: Sequence[str | os.PathLike[str]] | None = None,
        certificates: Sequence[str | os.PathLike[str]] = (),
        strict_files: bool = False,
        agent: Agent | None = None,
        identities_only: bool = False,
        password: str | None = None,
        passphrase: str | None = None,
        prompt: Prompter | None = None,
        methods: Sequence[str] = METHODS,
        signatures: Sequence[str] | None = None,
        submethods: str = "",
        prompts: int = 3,
        trusted: Callable[[], bool] = lambda: True,
        key_provider: str | None = None,
        keep: Callable[[PrivateKey, str], Awaitable[None]] | None = None,
        notice: Callable[[str], None] = _ignore,
        debug: Callable[[str], None] = _ignore,
        banner: Callable[[str], None] = _ignore,
    ) -> None:
        self._user = user
        self._account = f"{user}@{host}"
        self._secrets = UserSecrets(
            self._account,
            password=password,
            passphrase=passphrase,
            prompt=prompt,
            attempts=prompts,
            trusted=trusted,
            notice=notice,
        )
        self._sources = KeySources(
            keys,
            files,
            agent,
            certificates=certificates,
            strict=strict_files,
            identities_only=identities_only,
            unlock=self._secrets.passphrase,
            notice=notice,
            debug=debug,
        )
        self._methods = tuple(methods)
        self._signatures = tuple(signatures or choose("signature", None))
        self._submethods = submethods
        tokens = partial(self._by_security_key, key_provider)
        self._sources.keep, self._sources.tokens = keep, tokens
        self._notice, self._debug, self._show_banner = notice, debug, banner
        # A signed request may come first where a key is in hand, and keys are the first method.
        self._sign_first = bool(keys) and self._methods[:1] == (PUBLICKEY,)
        self._later: list[tuple[UserKey, tuple[str, ...]]] = []
        self._offered: dict[PublicKey, UserKey] = {}
        self._unnamed: set[PublicKey] = set()
        self._unusable: list[str] = []
        self.tried: list[str] = []

    rsa_bits = 0
    gssapi: ContextInitiator | None = None
    vouching: HostVouching | None = None
    _begun = False
    _asked_for_none = False
    _needs_sha1 = False
    _offers: list[tuple[UserKey, tuple[str, ...]]] | None = None

    @property
    def signed(self) -> UserKey | None:
        """The key that has signed last, or None."""
        return self._sources.signed

    async def authentication(self, ask: AskAuthentication) -> Answer:
        """Return what to try next."""
        can_continue = ask.can_continue
        if not self._begun:
            self._begun = True
            if self._sources.strict and PUBLICKEY in self._methods:
                try:
                    self._offers = await self._gather(ask)
                except UnusableKey as error:
                    return GiveUp(error)
            if can_continue or not self._sign_first:
                return self._none()
            can_continue = (PUBLICKEY,)
        answer = await self._next(ask, can_continue)
        if answer is None and self._later and PUBLICKEY in can_continue:
            self._offers, self._later = self._later, []
            answer = await self._next(ask, can_continue)
        if answer is not None:
            return answer
        if not self._asked_for_none and not ask.partial:
            return self._none()
        return GiveUp(self._failure(ask.can_continue))

    async def _next(self, ask: AskAuthentication, can_continue: tuple[str, ...]) -> Answer | None:
        for method in self._methods:
            if method not in can_continue:
                continue
            answer: Answer | None = None
            if method == PUBLICKEY:
                answer = await self._next_key(ask)
            elif method == HOSTBASED:
                answer = None if self.vouching is None else await self.vouching.next()
            elif method in GSSAPI_METHODS:
                answer = await self._by_gssapi(method, ask)
            elif method == PASSWORD:
                answer = await self._secrets.password()
            # After a partial success the server may ask nothing at all: find out.
            elif self._secrets.use(method, without_secret=ask.partial):
                answer = TryKeyboardInteractive(self._submethods)
            if answer is not None:
                return answer
        return None

    async def _by_gssapi(
        self, method: str, ask: AskAuthentication
    ) -> TryGSSAPIKeyex | TryGSSAPIWithMIC | None:
        """Try a method of GSSAPI once; without a ticket nothing is sent."""
        self._methods = tuple(name for name in self._methods if name != method)
        if self.gssapi is None:
            return None
        if method == _GSSAPI_KEYEX:
            keyed = ask.session is not None and ask.session.context is not None
            return TryGSSAPIKeyex() if keyed else None
        step = await self.gssapi.begin()
        if isinstance(step, Denied):
            self._debug(f"GSSAPI: {step.reason}")
            self._unusable.append(f"GSSAPI: {step.reason}")
            return None
        return TryGSSAPIWithMIC(step.context, step.token)

    def _none(self) -> TryNone:
        self._asked_for_none = True
        return TryNone()

    async def signature(self, ask: AskSignature) -> Answer:
        """Sign with the key that was offered."""
        if self.vouching is not None and self.vouching.has_tried(ask.key):
            return await self._vouched(self.vouching, ask)
        key = self._offered.get(ask.key)
        if key is None:
            return Denied("not a key that was offered")
        try:
            signature = Signature(await key.sign(ask.data, ask.algorithm))
            self._sources.signed = key
            if key.loaded is not None and self._sources.keep is not None:
                await self._sources.keep(key.loaded, key.source)
            return signature
        except UnusableKey as error:
            if self._sources.strict and _is_locked(key) and key.public not in self._unnamed:
                return GiveUp(error)
            self._notice(str(error))
            return Denied(str(error))

    async def _vouched(self, vouching: HostVouching, ask: AskSignature) -> Answer:
        try:
            return Signature(await vouching.sign(ask.data))
        except UnusableKey as error:
            self._notice(str(error))
            return Denied(str(error))

    async def _by_security_key(
        self, provider: str | None, key: PrivateKey, data: bytes, source: str
    ) -> bytes:
        from nacre.client.tokenkeys import sign

        return await sign(
            key,
            data,
            source,
            pin=self._secrets.pin,
            notice=self._notice,
            provider=provider,
        )

    async def prompts(self, ask: AskPrompts) -> Answer:
        """Answer the server's prompts, with the password if there is one prompt without echo."""
        return await self._secrets.responses(ask)

    async def new_password(self, ask: AskNewPassword) -> Answer:
        """Ask a human for the successor of an expired password."""
        return await self._secrets.new_password(ask)

    def banner(self, text: str) -> None:
        """Show the server's banner."""
        self._show_banner(text)

    def result(self, event: AuthResult) -> None:
        """Note a failure for the error message, and report a partial success."""
        if event.outcome == "failure" and event.method != "none":
            self.tried.append(f"{event.method} {event.detail}".strip())
        elif event.outcome == "partial":
            self._debug(f"Authenticated using {event.method!r} with partial success.")

    def _failure(self, can_continue: tuple[str, ...]) -> AuthenticationFailed:
        methods = safe(",".join(can_continue)) or "nothing"
        tried = "; ".join(self.tried) or "nothing that it takes"
        hints = self.hints()
        return AuthenticationFailed(
            "; ".join(
                (
                    f"{self._account} was not let in: the server takes {methods}",
                    f"tried: {tried}",
                    *hints,
                )
            ),
            user=self._user,
            tried=self.tried,
            can_continue=can_continue,
            hints=hints,
        )

    def hints(self) -> tuple[str, ...]:
        """Return what else is known of a failure: unused keys, and what may help."""
        # What a human was told is not repeated.
        files = self._sources.unusable if self._notice is _ignore else []
        found = [f"not used: {reason}" for reason in (*files, *self._unusable)]
        if self._needs_sha1:
            found.append(
                "the server names no signature algorithms, and may know only ssh-rsa (SHA-1), "
                f"which is not permitted here: {_permission(_SHA1)}"
            )
        agents = sum(
            isinstance(key, AgentKey) and public in self._unnamed
            for public, key in self._offered.items()
        )
        if agents > 1:
            found.append(
                f"{agents} keys of the agent were offered, and each is a failure that the server "
                "counts: agent=False (IdentityAgent=none) leaves them out, and "
                "keys=[…] (IdentitiesOnly=yes) offers only the named ones"
            )
        if self._later:
            found.append(f"{len(self._later)} more keys were not offered: name one")
        return tuple(found)

    async def _next_key(self, ask: AskAuthentication) -> TryPublicKey | None:
        if self._offers is None:
            self._offers = await self._gather(ask)
        while self._offers:
            key, usable = self._offers.pop(0)
            algorithms = usable_with(ask.server_algorithms, key.public, usable)
            if not algorithms:
                self._unusable.append(f"{safe(key.source)} {key.public!r}: {self._why(key, ask)}")
                self._debug(
                    f"no signature algorithm in common with the server for {safe(key.source)}"
                )
                continue
            if ask.server_algorithms is None:
                # The server says nothing of what it knows, so each algorithm is tried by itself.
                if algorithms[1:]:
                    self._offers.insert(0, (key, algorithms[1:]))
                self._needs_sha1 |= key.public.type == _SHA1 and _SHA1 not in self._signatures
            self._offered[key.public] = key
            self._debug(f"Offering public key: {safe(key.source)} {key.public!r}")
            return TryPublicKey(key.public, algorithms, signed=key.at_hand)
        return None

    def _why(self, key: UserKey, ask: AskAuthentication) -> str:
        """Return why the server and the key have no signature algorithm in common."""
        if _takes_rsa1(ask):
            return "SSH-1 takes RSA1 keys alone"
        if key.public.type == RSA1:
            return "RSA1 keys are for SSH-1 alone"
        made, permitted = key.public.signature_algorithms, self._signatures
        off = [name for name in made if name not in permitted]
        if ask.server_algorithms is None or any(name in ask.server_algorithms for name in off):
            return f"{','.join(off)} is not permitted here: {_permission(off[-1])}"
        return f"the server takes none of {','.join(made)}"

    async def _gather(self, ask: AskAuthentication) -> list[tuple[UserKey, tuple[str, ...]]]:
        """Return the keys to offer with their algorithms, in order.

        Too many unnamed keys would use up all attempts, so the others come behind the secrets.

        :raises UnusableKey: a named key can't be used, and ``strict_files`` is set.
        """
        named, others = await self._sources.gather(ssh1=_takes_rsa1(ask), session=ask.session)
        for key in named:
            locked = _is_locked(key) and not self._secrets.can_unlock
            if self._sources.strict and locked:
                raise PassphraseRequired(
                    f"{key.source} is encrypted, and no passphrase for it was given: pass it as "
                    "passphrase=…, or add the key to an agent"
                )
        named, others = ([key for key in keys if self._is_long(key)] for keys in (named, others))
        permitted = (RSA1,) if _takes_rsa1(ask) else self._signatures
        self._unnamed = {key.public for key in others}
        first = self._offers_before_secrets()
        every = [
            (key, tuple(name for name in key.public.signature_algorithms if name in permitted))
            for key in (*named, *others)
        ]
        count = len(every) if first is None else len(named) + first
        self._later = every[count:]
        return every[:count]

    def _is_long(self, key: UserKey) -> bool:
        """Return whether a key may be used; note why not."""
        public = key.public
        if not public.rsa or public.bits >= self.rsa_bits:
            return True
        self._unusable.append(
            f"{safe(key.source)} {public!r}: {self.rsa_bits} bits are required (RequiredRSASize)"
        )
        self._debug(f"the key {safe(key.source)} is shorter than {self.rsa_bits} bits")
        return False

    def _offers_before_secrets(self) -> int | None:
        """Return how many unnamed keys come before the secrets; None if all of them."""
        if not {PASSWORD, KEYBOARD_INTERACTIVE} & set(self._methods):
            return None
        if self._secrets.has_password:
            return UNNAMED_BEFORE_PASSWORD
        return UNNAMED_OFFERS if self._secrets.available else None
