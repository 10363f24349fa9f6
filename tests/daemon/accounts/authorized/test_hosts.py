"""Which hosts vouch for their users, by the files of the system and of the account."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts.accounts import own_account
from nacre.daemon.accounts.authorized import hosts
from nacre.daemon.accounts.authorized.hosts import HostSearch
from nacre.errors import AccountError
from nacre.keys import PublicKey, generate
from nacre.keys.certificate import Certificate
from nacre.protocol.asks import ClientHost

KEY, CA, OTHER = (generate("ssh-ed25519") for _ in range(3))
CERTIFICATE = Certificate.issue(KEY.public, CA, kind="host", principals=["h"])

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files are root's")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's files and the account's home, in one directory that only root can write."""
    path = Path(f"/srv/nacre-hosts-{os.getpid()}")
    path.mkdir(mode=0o755)
    (path / ".ssh").mkdir(mode=0o755)
    monkeypatch.setattr(hosts, "EQUIVALENT", (str(path / "equiv"),))
    monkeypatch.setattr(hosts, "KNOWN", (str(path / "known"),))
    yield path
    shutil.rmtree(path)


def refusal(
    place: Path, key: PublicKey = KEY.public, *, uid: int = 1000, name: str = "h", **config: Any
) -> str | None:
    account = replace(own_account(), name="bob", uid=uid, home=str(place))
    given = {"hostbased_uses_name_from_packet_only": True, **config}
    host = ClientHost(name, "bob", key, "ssh-ed25519")
    search = HostSearch(
        host=host,
        address="192.0.2.1",
        name="looked.up",
        account=account,
        config=ServerConfig(**given),
    )
    try:
        search.check()
    except AccountError as error:
        return str(error)
    return None


def test_the_host_must_be_listed_and_its_key_known(place: Path) -> None:
    assert "no shosts.equiv" in str(refusal(place))
    (place / "equiv").write_text("h\n")
    assert "known hosts have no such key of h" in str(refusal(place))
    (place / "known").write_text(f"h {KEY.public}\n")
    assert refusal(place) is None
    assert "no such key" in str(refusal(place, OTHER.public))
    assert "no shosts.equiv" in str(refusal(place, uid=0))
    assert "looked.up" in str(refusal(place, hostbased_uses_name_from_packet_only=False))
    (place / "equiv").write_text("192.0.2.1\n")
    (place / "known").write_text(f"looked.up {KEY.public}\n")
    assert refusal(place, hostbased_uses_name_from_packet_only=False) is None
    (place / "known").write_text(f"looked.up {KEY.public}\n@revoked * {KEY.public}\n")
    reason = refusal(place, hostbased_uses_name_from_packet_only=False)
    assert "marked as revoked" in str(reason)


def test_files_of_the_account(place: Path) -> None:
    (place / ".shosts").write_text("h\n")
    (place / ".ssh/known_hosts").write_text(f"h {KEY.public}\n")
    assert "no shosts.equiv" in str(refusal(place))
    for ignored in ("shosts-only", "no"):
        assert refusal(place, ignore_rhosts=ignored) is None
        assert refusal(place, ignore_rhosts=ignored, uid=0) is None
    reason = refusal(place, ignore_rhosts="no", ignore_user_known_hosts=True)
    assert "no such key" in str(reason)
    (place / ".shosts").rename(place / ".rhosts")
    assert refusal(place, ignore_rhosts="no") is None
    assert refusal(place, ignore_rhosts="shosts-only") is not None
    (place / ".rhosts").chmod(0o666)
    assert refusal(place, ignore_rhosts="no") is not None


def test_certificates_and_revoked_keys(place: Path) -> None:
    (place / "equiv").write_text("h\nother\n")
    (place / "known").write_text(f"@cert-authority h,other {CA.public}\n")
    assert refusal(place, CERTIFICATE) is None
    assert "other" in str(refusal(place, CERTIFICATE, name="other"))
    user = Certificate.issue(KEY.public, CA, kind="user", principals=["h"])
    assert refusal(place, user) is not None
    critical = Certificate.issue(KEY.public, CA, kind="host", critical_options={"x": b""})
    assert "critical options" in str(refusal(place, critical))
    (place / "revoked").write_text(f"{CA.public}\n")
    reason = refusal(place, CERTIFICATE, revoked_keys=str(place / "revoked"))
    assert "RevokedKeys" in str(reason)


def test_what_is_no_regular_file_is_empty(place: Path) -> None:
    os.mkfifo(place / "equiv")
    assert "no shosts.equiv" in str(refusal(place))
