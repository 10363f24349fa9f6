"""The keys a user can log in with: in hand, in files, in an agent.

Start at :class:`KeySources`, which finds them; each one is a :class:`UserKey`.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from nacre.agent.client import Agent
from nacre.crypto.signatures.certified import plain
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.files import MAXIMUM_SIZE, is_private, load_private, load_public, public_half
from nacre.protocol.asks import SessionProof
from nacre.value import value

SSH1_FILE = "~/.ssh/identity"
DEFAULT_FILES = (
    *("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"),
    *("~/.ssh/id_ed25519_sk", "~/.ssh/id_ecdsa_sk", "~/.ssh/id_dsa"),
)

CERTIFICATE = "-cert.pub"
"""What follows the name of a key's file in the name of the file of its certificate."""

_SLOW = {"ssh-rsa", "rsa1"}
"""Types of keys that take milliseconds to sign; others take less than a call in a thread."""

Unlock: TypeAlias = Callable[[str, int], Awaitable[str | None]]
"""Gets a key file's name and how many passphrases were wrong; returns one more, or None."""


BySecurityKey: TypeAlias = Callable[[PrivateKey, bytes, str], Awaitable[bytes]]
"""Gets a key, data to sign and the name of the key's file; returns the signature."""

Keep: TypeAlias = Callable[[PrivateKey, str], Awaitable[None]]
"""Gets a private key, and the name of its file."""


class UserKey(Protocol):
    """A key to offer; its private half may be elsewhere, or still encrypted.

    :ivar source: where it is from, for humans.
    :ivar at_hand: whether it signs without a passphrase and without an agent.
    :ivar loaded: the private key that was read from a file, once it was; None for other keys.
    """

    public: PublicKey
    source: str
    at_hand: bool

    @property
    def loaded(self) -> PrivateKey | None: ...

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        """Return a signature in its wire form.

        :raises UnusableKey: the private half is not available.
        """


class HeldKey:
    """A private key in hand, or of the file ``source``.

    :ivar tokens: signs if the private half is on a security key; None if nothing can.
    """

    tokens: BySecurityKey | None = None

    def __init__(self, key: PrivateKey, source: str = "") -> None:
        self._key = key
        self.at_hand = not key.held
        self.public = key.public
        self.source = source or key.comment
        self.loaded = key if source else None

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        if self._key.held and self.tokens is not None:
            return await self.tokens(self._key, data, self.source)
        if self.public.type not in _SLOW:
            return self._key.sign(data, algorithm)
        return await asyncio.to_thread(self._key.sign, data, algorithm)


class AgentKey:
    """A key that an agent holds."""

    at_hand = False
    loaded: PrivateKey | None = None

    def __init__(self, agent: Agent, public: PublicKey, source: str) -> None:
        self._agent = agent
        self.public = public
        self.source = source

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        return await self._agent.sign(self.public, data, algorithm)


class LockedFile:
    """A key file whose passphrase is asked for when a signature is needed, and not before.

    :ivar tokens: see :class:`HeldKey`.
    """

    at_hand = False
    tokens: BySecurityKey | None = None

    def __init__(self, path: Path, text: bytes, public: PublicKey, unlock: Unlock) -> None:
        self._text = text
        self._unlock = unlock
        self.loaded: PrivateKey | None = None
        self.public = public
        self.source = str(path)

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        if self.loaded is None:
            self.loaded = await unlock(self._text, self.source, self._unlock)
        if self.loaded.public != self.public:
            raise UnusableKey(f"{self.source} does not belong to {self.source}.pub")
        if self.loaded.held and self.tokens is not None:
            return await self.tokens(self.loaded, data, self.source)
        return await asyncio.to_thread(self.loaded.sign, data, algorithm)


class CertificateKey:
    """A certificate of a file, whose signatures are those of the key that it certifies.

    :ivar signer: that key.
    """

    def __init__(self, certificate: PublicKey, signer: UserKey, source: str) -> None:
        self.public = certificate
        self.source = source
        self.signer = signer
        self.at_hand = signer.at_hand

    @property
    def loaded(self) -> PrivateKey | None:
        return self.signer.loaded

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        return await self.signer.sign(data, plain(algorithm))


@value
class PublicHalf:
    """A file with a public key or a certificate, whose private half is elsewhere.

    :ivar named: whether the user named it, so that it is an error with ``strict`` if it has no use.
    """

    path: Path
    named: bool = True


@value
class Opened:
    """What is in a key file, and beside it.

    :ivar key: its key; only the public half if there is no private one, and None if there is none.
    :ivar certificate: that of the file beside it whose name ends with ``-cert.pub``, or None.
    :ivar problem: why that file can't be used.
    """

    key: UserKey | PublicKey | None
    certificate: PublicKey | None = None
    problem: UnusableKey | None = None


class KeySources:
    """Finds a user's keys: those in hand, those in files, those of an agent.

    :param held: private keys in hand.
    :param files: key files by name; None means the default ones, where they exist.
    :param certificates: files with certificates, of keys that the other sources have. With any,
        those beside ``files`` are not looked for.
    :param agent: the agent to ask, or None.
    :param identities_only: leave out keys of the agent that no file names.
    :param unlock: called for the passphrase of an encrypted file.
    :param notice: gets text for the human, and ``debug`` details.
    :ivar strict: whether a named file that can't be used is an error.
    :ivar keep: gets each key of a file that has signed, or is None.
    :ivar tokens: signs with keys on security keys, or is None.
    :ivar signed: the key that has signed last, or None.
    :ivar unusable: why files were left out, each a text with the file's name.
    """

    def __init__(
        self,
        held: Sequence[PrivateKey],
        files: Sequence[str | os.PathLike[str]] | None,
        agent: Agent | None,
        *,
        certificates: Sequence[str | os.PathLike[str]] = (),
        identities_only: bool,
        unlock: Unlock,
        notice: Callable[[str], None],
        debug: Callable[[str], None],
        strict: bool = False,
    ) -> None:
        self.strict = strict and files is not None
        self.unusable: list[str] = []
        self.keep: Keep | None = None
        self.tokens: BySecurityKey | None = None
        self.signed: UserKey | None = None
        self._held = tuple(held)
        self._files = files
        self._certificates = certificates
        self._agent = agent
        self._identities_only = identities_only
        self._unlock = unlock
        self._notice = notice
        self._debug = debug

    async def gather(
        self, *, ssh1: bool, session: SessionProof | None = None
    ) -> tuple[list[UserKey], list[UserKey]]:
        """Return the keys the user named, and the others, each in the order to offer them.

        :param ssh1: return RSA1 keys of the agent, and the default file of SSH-1.
        :param session: the session to log in to, which the agent learns of.
        :raises UnusableKey: a named file can't be used, with ``strict``.
        """
        agent = await self._agent_keys(ssh1=ssh1, session=session)
        held = {key.public: self._with_tokens(HeldKey(key)) for key in self._held}
        certificates = await self._certificate_files() if self._certificates and not ssh1 else {}
        files = await self._file_keys(ssh1=ssh1)
        signers = {key: one for key, one in files.items() if not isinstance(one, PublicHalf)}
        signers |= held | agent

        def usable(found: dict[PublicKey, UserKey | PublicHalf]) -> dict[PublicKey, UserKey]:
            taken = {}
            for public, source in found.items():
                key = agent.pop(public, None) or source
                if isinstance(key, PublicHalf):
                    signer = self._elsewhere(public, key, signers)
                else:
                    signer = key
                if signer is not None:
                    taken[public] = signer
            return taken

        named, unnamed = usable(certificates), usable(files)
        named = held | named
        if self._files is not None:
            named, unnamed = named | unnamed, {}
        if not self._identities_only:
            unnamed = agent | unnamed
        others = [key for public, key in unnamed.items() if public not in named]
        return list(named.values()), others

    def _elsewhere(
        self, public: PublicKey, half: PublicHalf, signers: dict[PublicKey, UserKey]
    ) -> UserKey | None:
        """Return the key of a file that has a public half; None if nothing signs for it."""
        if public.plain is public:
            what, remedy = "has a public key only, and no agent holds its private half", ""
        elif (signer := signers.get(public.plain)) is not None:
            return CertificateKey(public, signer, str(half.path))
        else:
            what, remedy = "is the certificate of a key that is not here", ", or add it to an agent"
        problem = f"{half.path} {what}: name the file of the private key{remedy}"
        self._leave_out(UnusableKey(problem), fatal=half.named)
        return None

    async def _agent_keys(
        self, *, ssh1: bool, session: SessionProof | None
    ) -> dict[PublicKey, UserKey]:
        agent = self._agent
        if agent is None:
            return {}
        if session is not None:
            agent = agent.bound(session)
        try:
            found = await (agent.rsa1_keys() if ssh1 else agent.keys())
        except UnusableKey as error:
            self._debug(str(error))
            return {}
        return {key: AgentKey(agent, key, comment or "agent") for key, comment in found}

    def _with_tokens(self, key: UserKey) -> UserKey:
        """Let a key that may be on a security key sign there; returns it."""
        signer = key.signer if isinstance(key, CertificateKey) else key
        if isinstance(signer, HeldKey | LockedFile):
            signer.tokens = self.tokens
        return key

    async def _file_keys(self, *, ssh1: bool) -> dict[PublicKey, UserKey | PublicHalf]:
        """Return the keys of the files, in order."""
        found: dict[PublicKey, UserKey | PublicHalf] = {}
        for path in self.paths(ssh1=ssh1):
            try:
                opened = await open_file(path, self._unlock)
            except UnusableKey as error:
                self._report(path, error)
                continue
            key, certificate = opened.key, opened.certificate
            if key is not None and not isinstance(key, PublicKey):
                self._with_tokens(key)
            if isinstance(key, PublicKey):
                self._take_public(found, key, path)
            elif key is not None:
                found[key.public] = key
            elif self._files is not None and certificate is None:
                self._notice(
                    f"Warning: Identity file {path} not accessible: No such file or directory."
                )
                self._leave_out(UnusableKey(f"there is no key file {path}: check its name"))
            if self._certificates or ssh1:
                continue
            if opened.problem is not None:
                self._report(beside(path), opened.problem, fatal=False)
            elif certificate is not None:
                self._take_public(found, certificate, beside(path), named=False)
        return found

    async def _certificate_files(self) -> dict[PublicKey, UserKey | PublicHalf]:
        """Return the certificates of the files that hold nothing else."""
        found: dict[PublicKey, UserKey | PublicHalf] = {}
        for path in _paths(self._certificates):
            try:
                text = await asyncio.to_thread(_content, path)
                if text is None:
                    raise UnusableKey(f"there is no certificate file {path}: check its name")
                key = load_public(text)[0]
                if key.plain is key:
                    raise UnusableKey(f"{path} has a key without a certificate: name another file")
            except UnusableKey as error:
                self._report(path, error)
            else:
                self._take_public(found, key, path)
        return found

    def _take_public(
        self,
        found: dict[PublicKey, UserKey | PublicHalf],
        key: PublicKey,
        path: Path,
        *,
        named: bool = True,
    ) -> None:
        if key.plain is not key and not _is_for_users(key):
            problem = UnusableKey(f"{path} is not a user's certificate")
            self._report(path, problem, fatal=named)
        else:
            found.setdefault(key, PublicHalf(path, named))

    def _report(self, path: Path, error: UnusableKey, *, fatal: bool = True) -> None:
        """Tell that a file can't be used."""
        problem = error if str(path) in str(error) else type(error)(f"{path}: {error}")
        self._notice(str(problem))
        self._leave_out(problem, fatal=fatal)

    def _leave_out(self, problem: UnusableKey, *, fatal: bool = True) -> None:
        if self.strict and fatal:
            raise problem
        self.unusable.append(str(problem))

    def paths(self, *, ssh1: bool) -> list[Path]:
        """Return the key files to read."""
        default = (SSH1_FILE,) if ssh1 else DEFAULT_FILES
        return _paths(default if self._files is None else self._files)


def _paths(names: Sequence[str | os.PathLike[str]]) -> list[Path]:
    return [Path(os.path.expanduser(name)) for name in names]


async def unlock(text: bytes, source: str, passphrase: Unlock) -> PrivateKey:
    """Decrypt a key file, asking for passphrases until one fits.

    :raises PassphraseRequired: no further passphrase was given.
    :raises UnusableKey: what the file has inside can't be used.
    """
    wrong = 0
    while (secret := await passphrase(source, wrong)) is not None:
        try:
            # bcrypt takes a tenth of a second or more, on purpose.
            return await asyncio.to_thread(load_private, text, secret)
        except PassphraseRequired:
            wrong += 1
        except UnusableKey as error:
            raise type(error)(f"{source}: {error}") from None
    reason = "the passphrase given is wrong" if wrong else "no passphrase for it was given"
    raise PassphraseRequired(f"{source} is encrypted, and {reason}")


async def open_file(path: Path, passphrase: Unlock) -> Opened:
    """Return the key of a file, and the certificate beside it.

    The file ``NAME-cert.pub`` is a certificate whose private key may be in the file ``NAME``. If
    ``NAME.pub`` is a certificate, it is shown in place of the key, as by OpenSSH.

    :raises UnusableKey: other users may read the file, or it has no usable key.
    """
    text, public_text, certificate_text = await asyncio.to_thread(_read, path)
    certificate = problem = None
    try:
        certificate = None if certificate_text is None else load_public(certificate_text)[0]
    except KeyFormatError as error:
        problem = error
    if text is None:
        key = None if public_text is None else load_public(public_text)[0]
        return Opened(key, certificate, problem)
    if is_private(text):
        # What is known of the public half without the passphrase.
        public = None if public_text is None else load_public(public_text)[0]
        known = public or certificate
        found = await _open_private(path, text, known and known.plain, passphrase)
        if public is not None and public.plain is not public and public.plain == found.public:
            found = CertificateKey(public, found, str(path))
        return Opened(found, certificate, problem)
    # `-i key.pub` selects the agent's key with this public half.
    public = load_public(text)[0]
    if public.plain is not public and path.name.endswith(CERTIFICATE):
        name = path.with_name(path.name.removesuffix(CERTIFICATE))
        opened = await open_file(name, passphrase)
        if not isinstance(opened.key, PublicKey | None) and opened.key.public == public.plain:
            return Opened(CertificateKey(public, opened.key, str(path)))
    return Opened(public)


async def _open_private(
    path: Path, text: bytes, public: PublicKey | None, passphrase: Unlock
) -> UserKey:
    try:
        return HeldKey(await asyncio.to_thread(load_private, text), str(path))
    except PassphraseRequired:
        public = public_half(text) or public
        if public is not None:
            return LockedFile(path, text, public, passphrase)
        return HeldKey(await unlock(text, str(path), passphrase), str(path))


def beside(path: Path) -> Path:
    """Return the name of the file that has the certificate of a key's file."""
    return path.with_name(f"{path.name}{CERTIFICATE}")


def _is_for_users(key: PublicKey) -> bool:
    from nacre.keys.certificate import Certificate, CertificateType

    return isinstance(key, Certificate) and key.kind == CertificateType.USER


def _read(path: Path) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return the contents of a key file, of its public half and of its certificate."""
    private = _content(path)
    if private is not None and is_private(private):
        check_private(path)
    return private, _content(path.with_name(f"{path.name}.pub")), _content(beside(path))


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            text = file.read(MAXIMUM_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnusableKey(f"can't read {path}: {error.strerror}") from error
    if len(text) > MAXIMUM_SIZE:
        raise KeyFormatError(f"{path} is too large for a key file")
    return text


def check_private(path: Path) -> None:
    """Check that no other user can read a private key's file.

    :raises UnusableKey: another user can.
    """
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == os.getuid() and mode & 0o077:
        raise UnusableKey(
            f"{path} is not used: its permissions {mode:04o} let others read it; "
            f"make it yours alone: chmod 600 {path}"
        )
