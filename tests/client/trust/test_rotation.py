from __future__ import annotations

import logging

import pytest

from nacre.client.trust.check import HostKeyAnnouncement
from nacre.client.trust.files import KnownHostsFile
from nacre.keys.certificate import Certificate
from nacre.keys.key import generate
from nacre.protocol import hostkeys
from nacre.wire.codec import string

SHOWN, NEW, OLD = (generate("ssh-ed25519") for _ in range(3))
RSA = generate("ssh-rsa", bits=1024)
SESSION = b"session"
ALGORITHMS = ("ssh-ed25519", "rsa-sha2-512")


class Host:
    """A server that announces keys, and proves that it has them."""

    def __init__(self, *keys, shown=SHOWN, session_id=SESSION, algorithm=None):
        self.keys = keys or (SHOWN, NEW)
        self.shown = shown.public
        self.asked = 0
        self._session_id = session_id
        self._algorithm = algorithm

    async def prove(self, data):
        self.asked += 1
        private = {key.public.blob: key for key in self.keys}
        proofs = []
        for blob in hostkeys.split(data, 99):
            key = private[blob]
            algorithm = self._algorithm or key.public.signature_algorithms[0]
            proofs.append(key.sign(hostkeys.signed(self._session_id, blob), algorithm))
        return hostkeys.join(proofs)

    def announcement(self, data=None, algorithms=ALGORITHMS):
        keys = hostkeys.join(key.public.blob for key in self.keys)
        return HostKeyAnnouncement(data or keys, self.shown, SESSION, algorithms, self.prove)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "known_hosts"
    file.write_text(f"# mine\nh {SHOWN.public} comment\nh {OLD.public}\n")
    return file


async def learn(file, host, *, address="", before="h", announcement=None, **options):
    options = {"update": "yes", **options}
    checker = KnownHostsFile([file], global_paths=(), **options)
    await checker.check(before, 22, address, host.shown)
    await checker.announced(before, 22, address, announcement or host.announcement())
    return file.read_text()


async def test_new_keys_are_added_and_old_ones_removed(file):
    host = Host(SHOWN, NEW, RSA)
    text = await learn(file, host)
    assert text == f"# mine\nh {SHOWN.public} comment\nh {NEW.public}\nh {RSA.public}\n"
    assert await learn(file, host) == text
    assert host.asked == 1


async def test_an_old_key_needs_no_proof(file):
    host = Host(SHOWN)
    assert await learn(file, host) == f"# mine\nh {SHOWN.public} comment\n"
    assert host.asked == 0


@pytest.mark.parametrize("answer", [True, False])
async def test_a_person_may_be_asked(file, answer):
    asked = []

    async def confirm(changes):
        asked.append(changes)
        return answer

    before = file.read_text()
    assert await learn(file, Host(), update="ask") == before
    changed = await learn(file, Host(), update="ask", confirm_update=confirm)
    assert (changed != before) is answer
    assert (asked[0].new, asked[0].old) == ((NEW.public,), (OLD.public,))


@pytest.mark.parametrize(
    "host",
    [Host(session_id=b"another"), Host(SHOWN, RSA, algorithm="ssh-rsa")],
    ids=["another session", "an algorithm that is not accepted"],
)
async def test_a_wrong_proof_changes_nothing(file, host, caplog):
    before = file.read_text()
    assert await learn(file, host) == before
    assert "proof" in caplog.text


@pytest.mark.parametrize("reply", [None, b"", b"\0", hostkeys.join([b"", b""])], ids=repr)
async def test_no_proof_changes_nothing(file, reply, caplog):
    async def prove(data):
        return reply

    host = Host()
    host.prove = prove  # type: ignore[method-assign]
    before = file.read_text()
    assert await learn(file, host) == before
    assert "are not updated" in caplog.text


@pytest.mark.parametrize(
    "keys",
    [
        [SHOWN.public.blob] * 2,
        [SHOWN.public.blob, *(str(i).encode() for i in range(64))],
        [NEW.public.blob],
        [b""],
    ],
    ids=["twice", "too many", "without the key in use", "no key"],
)
async def test_an_announcement_that_makes_no_sense_changes_nothing(file, keys):
    before, host = file.read_text(), Host()
    announcement = host.announcement(hostkeys.join(keys))
    assert await learn(file, host, announcement=announcement) == before
    assert await learn(file, host, announcement=host.announcement(b"\0\0\1")) == before
    assert host.asked == 0


async def test_keys_that_are_not_accepted_are_left_out(file):
    host = Host(SHOWN, RSA)
    certificate = Certificate.issue(NEW.public, OLD, kind="host")
    data = hostkeys.join([SHOWN.public.blob, RSA.public.blob, certificate.blob, string(b"x")])
    announcement = host.announcement(data, ("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"))
    text = await learn(file, host, announcement=announcement)
    assert text == f"# mine\nh {SHOWN.public} comment\n"


async def test_a_host_that_nobody_has_confirmed_changes_nothing(tmp_path, file):
    new = tmp_path / "new"
    text = await learn(new, Host(), strict="accept-new")
    assert text == f"h {SHOWN.public}\n"
    assert await learn(new, Host()) == f"h {SHOWN.public}\nh {NEW.public}\n"
    other = Host(shown=NEW)
    before = file.read_text()
    assert await learn(file, other, strict="no") == before
    assert other.asked == 0


async def test_a_host_with_a_certificate_changes_nothing(file):
    certificate = Certificate.issue(SHOWN.public, OLD, kind="host")
    host = Host()
    host.shown = certificate
    before = f"@cert-authority x {OLD.public}\n{file.read_text()}"
    file.write_text(before)
    assert await learn(file, host) == before


async def test_the_address_follows_where_it_counts(file):
    file.write_text(f"h,192.0.2.1 {SHOWN.public}\n")
    text = await learn(file, Host(), address="192.0.2.1", check_address=True)
    assert text.splitlines()[1:] == [f"h {NEW.public}", f"192.0.2.1 {NEW.public}"]


async def test_a_global_file_is_not_followed(tmp_path):
    shared = tmp_path / "shared"
    shared.write_text(f"h {SHOWN.public}\n")
    checker = KnownHostsFile([tmp_path / "mine"], global_paths=[shared], update="yes")
    await checker.check("h", 22, "", SHOWN.public)
    await checker.announced("h", 22, "", Host().announcement())
    assert not (tmp_path / "mine").exists()


async def test_what_has_changed_is_logged(file, caplog):
    caplog.set_level(logging.INFO, "nacre.client.trust")
    await learn(file, Host())
    assert caplog.messages == [
        f"learned new host key: ssh-ed25519 {NEW.public.fingerprint()}",
        f"removed obsolete host key: ssh-ed25519 {OLD.public.fingerprint()}",
    ]
