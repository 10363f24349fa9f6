"""Where a user's keys come from: files, encrypted or not, an agent, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from nacre.client.userkeys import HeldKey, KeySources, LockedFile, Opened, open_file
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys import PrivateKey, PublicKey, dump_private, generate
from nacre.keys.certificate import Certificate, CertifiedKey
from nacre.keys.files import MAXIMUM_SIZE

ALGORITHM = "ssh-ed25519"
ONE, TWO, THREE, FOUR = (generate("ssh-ed25519", comment=f"key {n}") for n in range(4))


class Passphrases:
    """Gives passphrases in order, and notes for which file."""

    def __init__(self, *passphrases: str) -> None:
        self.left = list(passphrases)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, source: str, wrong: int) -> str | None:
        self.asked.append((Path(source).name, wrong))
        return self.left.pop(0) if self.left else None


def save(path: Path, key: PrivateKey, passphrase: str | None = None) -> Path:
    path.write_bytes(dump_private(key, passphrase, rounds=1))
    path.chmod(0o600)
    return path


def save_public(path: Path, key: PrivateKey) -> Path:
    path.write_text(f"{key.public} a comment\n")
    return path


# --- one file ---


async def test_a_plain_file_signs_without_a_question(tmp_path: Path) -> None:
    asked = Passphrases()
    key = (await open_file(save(tmp_path / "key", ONE), asked)).key
    assert isinstance(key, HeldKey)
    assert key.at_hand
    assert key.source == str(tmp_path / "key")
    assert ONE.public.verify(await key.sign(b"data", ALGORITHM), b"data", ALGORITHM)
    assert asked.asked == []


async def test_an_encrypted_file_is_unlocked_at_its_first_signature(tmp_path: Path) -> None:
    asked = Passphrases("wrong", "right", "never")
    key = (await open_file(save(tmp_path / "key", ONE, "right"), asked)).key
    assert isinstance(key, LockedFile)
    assert key.public == ONE.public
    assert not key.at_hand
    assert asked.asked == []
    for data in (b"first", b"second"):
        assert ONE.public.verify(await key.sign(data, ALGORITHM), data, ALGORITHM)
    assert asked.asked == [("key", 0), ("key", 1)]


async def test_without_a_passphrase_there_is_no_signature(tmp_path: Path) -> None:
    key = (await open_file(save(tmp_path / "key", ONE, "right"), Passphrases("wrong"))).key
    assert isinstance(key, LockedFile)
    with pytest.raises(PassphraseRequired, match="the passphrase given is wrong"):
        await key.sign(b"data", ALGORITHM)


async def test_a_public_half_of_another_key_does_not_sign(tmp_path: Path) -> None:
    text = save(tmp_path / "key", ONE, "right").read_bytes()
    key = LockedFile(tmp_path / "key", text, TWO.public, Passphrases("right"))
    with pytest.raises(UnusableKey, match=r"does not belong to .*key\.pub"):
        await key.sign(b"data", ALGORITHM)


@pytest.mark.parametrize("name", ["key", "key.pub"])
async def test_a_public_half_alone(tmp_path: Path, name: str) -> None:
    """``-i key`` without the private file, and ``-i key.pub``."""
    save_public(tmp_path / "key.pub", ONE)
    assert await open_file(tmp_path / name, Passphrases()) == Opened(ONE.public)


@pytest.mark.parametrize("name", ["nothing", "key/nothing"])
async def test_no_such_file(tmp_path: Path, name: str) -> None:
    save(tmp_path / "key", ONE)
    assert await open_file(tmp_path / name, Passphrases()) == Opened(None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
async def test_a_private_key_that_other_users_can_read(tmp_path: Path, mode: int) -> None:
    path = save(tmp_path / "key", ONE)
    path.chmod(mode)
    with pytest.raises(UnusableKey, match=f"permissions {mode:04o} .*chmod 600"):
        await open_file(path, Passphrases())


async def test_a_public_key_may_be_read_by_all(tmp_path: Path) -> None:
    path = save_public(tmp_path / "key.pub", ONE)
    path.chmod(0o644)
    assert await open_file(path, Passphrases()) == Opened(ONE.public)


async def test_files_that_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(MAXIMUM_SIZE + 1))
    with pytest.raises(KeyFormatError, match="too large"):
        await open_file(tmp_path / "large", Passphrases())
    (tmp_path / "text").write_text("no key\n")
    with pytest.raises(UnusableKey):
        await open_file(tmp_path / "text", Passphrases())
    with pytest.raises(UnusableKey, match="can't read"):
        await open_file(tmp_path, Passphrases())


# --- all of them ---


class FakeAgent:
    def __init__(self, *keys: PrivateKey) -> None:
        self.held = keys

    async def keys(self) -> list[tuple[PublicKey, str]]:
        return [(key.public, f"agent's {key.comment}") for key in self.held]


class NoAgent(FakeAgent):
    async def keys(self) -> list[tuple[PublicKey, str]]:
        raise UnusableKey("no agent at /nowhere")


class Sources:
    """Sources with what they said."""

    def __init__(
        self,
        *held: PrivateKey,
        files: Sequence[Path] | None = (),
        agent: FakeAgent | None = None,
        identities_only: bool = False,
        certificates: Sequence[Path] = (),
        strict: bool = False,
        unlock: Passphrases | None = None,
    ) -> None:
        self.notices: list[str] = []
        self.details: list[str] = []
        self.subject = KeySources(
            held,
            files,
            agent,  # type: ignore[arg-type]
            identities_only=identities_only,
            certificates=certificates,
            strict=strict,
            unlock=unlock or Passphrases(),
            notice=self.notices.append,
            debug=self.details.append,
        )

    async def gather(self, **options: Any) -> tuple[list[PublicKey], list[PublicKey]]:
        named, others = await self.subject.gather(**{"ssh1": False, **options})
        return [key.public for key in named], [key.public for key in others]


async def test_keys_in_hand_come_before_files_and_the_agents(tmp_path: Path) -> None:
    files = [save(tmp_path / "two", TWO), save(tmp_path / "one", ONE)]
    sources = Sources(THREE, files=files, agent=FakeAgent(FOUR, ONE))
    assert await sources.gather() == ([THREE.public, TWO.public, ONE.public], [FOUR.public])


async def test_a_named_file_is_signed_by_the_agent_that_has_it(tmp_path: Path) -> None:
    sources = Sources(files=[save(tmp_path / "one", ONE)], agent=FakeAgent(ONE))
    named, others = await sources.subject.gather(ssh1=False)
    assert [key.source for key in named] == ["agent's key 0"]
    assert others == []


async def test_only_named_keys_of_the_agent_if_asked_to(tmp_path: Path) -> None:
    files = [save_public(tmp_path / "one.pub", ONE)]
    sources = Sources(files=files, agent=FakeAgent(TWO, ONE), identities_only=True)
    assert await sources.gather() == ([ONE.public], [])


async def test_a_public_half_without_its_private_one_is_not_offered(tmp_path: Path) -> None:
    sources = Sources(files=[save_public(tmp_path / "one.pub", ONE)])
    assert await sources.gather() == ([], [])


async def test_default_files_are_not_named_and_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    save(tmp_path / ".ssh" / "id_ed25519", ONE)
    sources = Sources(files=None, agent=FakeAgent(TWO))
    assert await sources.gather() == ([], [TWO.public, ONE.public])
    assert sources.notices == []
    assert [path.name for path in sources.subject.paths(ssh1=True)] == ["identity"]


async def test_problems_with_named_files_are_reported_and_the_rest_is_used(tmp_path: Path) -> None:
    open_to_all = save(tmp_path / "open", TWO)
    open_to_all.chmod(0o644)
    files = [tmp_path / "missing", open_to_all, save(tmp_path / "one", ONE)]
    sources = Sources(files=files)
    assert await sources.gather() == ([ONE.public], [])
    missing, permissions = sources.notices
    assert missing == (
        f"Warning: Identity file {files[0]} not accessible: No such file or directory."
    )
    assert permissions.startswith(f"{open_to_all} is not used: its permissions 0644")


async def test_an_agent_that_is_not_there_is_a_detail() -> None:
    sources = Sources(ONE, agent=NoAgent())
    assert await sources.gather() == ([ONE.public], [])
    assert (sources.notices, sources.details) == ([], ["no agent at /nowhere"])


# --- certificates ---

AUTHORITY = generate("ssh-ed25519")


def certify(key: PrivateKey, kind: Literal["user", "host"] = "user") -> Certificate:
    return Certificate.issue(key.public, AUTHORITY, kind=kind, principals=["me"])


ONES = certify(ONE)
TWOS = certify(TWO)
CERTIFIED = "ssh-ed25519-cert-v01@openssh.com"


def save_certificate(path: Path, certificate: Certificate) -> Path:
    path.write_text(f"{certificate} a comment\n")
    return path


async def test_a_certificate_beside_a_key_comes_behind_it(tmp_path: Path) -> None:
    files = [save(tmp_path / "one", ONE), save(tmp_path / "two", TWO)]
    save_certificate(tmp_path / "one-cert.pub", ONES)
    sources = Sources(files=files)
    named, _ = await sources.subject.gather(ssh1=False)
    assert [key.public for key in named] == [ONE.public, ONES, TWO.public]
    assert ONES.verify(await named[1].sign(b"data", CERTIFIED), b"data", CERTIFIED)
    assert named[1].at_hand
    assert sources.notices == []


async def test_a_certificate_in_place_of_the_public_half_is_shown_in_its_place(
    tmp_path: Path,
) -> None:
    for passphrase in (None, "right"):
        files = [save(tmp_path / "one", ONE, passphrase), save(tmp_path / "two", TWO)]
        save_certificate(tmp_path / "one.pub", ONES)
        save_certificate(tmp_path / "two.pub", ONES)  # of another key: it is left out
        sources = Sources(files=files, unlock=Passphrases("right"))
        named, _ = await sources.subject.gather(ssh1=False)
        assert [key.public for key in named] == [ONES, TWO.public]
        assert ONES.verify(await named[0].sign(b"data", CERTIFIED), b"data", CERTIFIED)


async def test_named_certificates_come_first_and_alone(tmp_path: Path) -> None:
    """With CertificateFile, ssh(1) looks for no others."""
    files = [save(tmp_path / "one", ONE), save(tmp_path / "two", TWO)]
    save_certificate(tmp_path / "one-cert.pub", ONES)
    certificates = [save_certificate(tmp_path / "certificate", TWOS)]
    sources = Sources(files=files, certificates=certificates)
    assert await sources.gather() == ([TWOS, ONE.public, TWO.public], [])


async def test_the_agent_signs_for_a_certificate_whose_key_it_holds(tmp_path: Path) -> None:
    certificates = [save_certificate(tmp_path / "certificate", ONES)]
    for only, others in ((False, [TWO.public, ONE.public]), (True, [])):
        agent = FakeAgent(TWO, ONE)
        sources = Sources(certificates=certificates, agent=agent, identities_only=only)
        assert await sources.gather() == ([ONES], others)


async def test_a_certificate_that_the_agent_holds_is_the_agents(tmp_path: Path) -> None:
    certificates = [save_certificate(tmp_path / "certificate", ONES)]
    agent = FakeAgent(CertifiedKey(ONES, ONE), ONE)
    sources = Sources(certificates=certificates, agent=agent)
    named, others = await sources.subject.gather(ssh1=False)
    assert [key.source for key in named] == ["agent's key 0"]
    assert [key.public for key in others] == [ONE.public]


async def test_a_certificate_is_a_name_for_the_key_beside_it(tmp_path: Path) -> None:
    save(tmp_path / "one", ONE)
    path = save_certificate(tmp_path / "one-cert.pub", ONES)
    assert await Sources(files=[path]).gather() == ([ONES], [])


async def test_a_certificate_tells_the_public_half_of_an_encrypted_file(tmp_path: Path) -> None:
    """So its passphrase is asked for only once a server accepts it."""
    asked = Passphrases("right")
    files = [save(tmp_path / "one", ONE, "right")]
    save_certificate(tmp_path / "one-cert.pub", ONES)
    sources = Sources(files=files, unlock=asked)
    named, _ = await sources.subject.gather(ssh1=False)
    assert ([key.public for key in named], asked.asked) == ([ONE.public, ONES], [])
    assert named[1].loaded is None
    assert ONES.verify(await named[1].sign(b"data", CERTIFIED), b"data", CERTIFIED)
    assert named[1].loaded is not None


@pytest.mark.parametrize("strict", [False, True])
async def test_a_certificate_beside_a_key_that_has_no_use_is_told(
    tmp_path: Path, strict: bool
) -> None:
    files = [save(tmp_path / name, key) for name, key in (("a", ONE), ("b", TWO), ("c", THREE))]
    save_certificate(tmp_path / "a-cert.pub", certify(ONE, "host"))
    (tmp_path / "b-cert.pub").write_text("ssh-ed25519-cert-v01@openssh.com AAAA\n")
    save_certificate(tmp_path / "c-cert.pub", certify(FOUR))
    sources = Sources(files=files, strict=strict)
    assert await sources.gather() == ([ONE.public, TWO.public, THREE.public], [])
    for text, name in zip(sources.subject.unusable, "abc", strict=True):
        assert f"{name}-cert.pub" in text


async def test_a_named_certificate_that_has_no_use(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    plain = save_public(tmp_path / "plain.pub", ONE)
    alone = save_certificate(tmp_path / "alone", ONES)
    sources = Sources(certificates=[missing, plain, alone])
    assert await sources.gather() == ([], [])
    assert [text.split(": ")[0] for text in sources.subject.unusable] == [
        f"there is no certificate file {missing}",
        f"{plain} has a key without a certificate",
        f"{alone} is the certificate of a key that is not here",
    ]
