"""The settings of a server: one list of words, and what follows from their values."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from typing import Any

import pytest

import nacre
from gss.fake_library import GSSError, fake_library
from nacre.config.server.files import load
from nacre.crypto.kex.gss import methods
from nacre.errors import ConfigurationError
from nacre.protocol.options import SOFTWARE
from nacre.protocol.requests import Exec, PtyRequest, Request, Shell, Subsystem
from nacre.server.admission.startups import MaxStartups
from nacre.server.peer import ConnectionTerms
from nacre.server.settings import ListenOptions, ReloadOptions, ServerSettings, configured
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.testing import host_key

PTY = PtyRequest("xterm", 80, 24, 0, 0, b"")


async def handler(session: nacre.Session) -> int:
    return 5


def files(session: nacre.Session) -> MemoryFilesystem:
    return MemoryFilesystem()


def settings(**changes: Any) -> ServerSettings:
    given: dict[str, Any] = {"host_keys": [host_key()], "policy": nacre.Policy(), **changes}
    return ServerSettings(**given)


def words() -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(nacre.listen).parameters)


def test_the_words_of_listen_are_in_every_list() -> None:
    where = {"host", "port", "sock", "config"}
    assert {*ListenOptions.__annotations__, "policy", "handler", "host", "port"} == set(words())
    own = {one.name for one in fields(ServerSettings) if one.init}
    inner = {"terms", "hand_over", "judge", "find_origin", "on_session", "bans", "verify"}
    assert own - inner == set(words()) - where - {"profile"}
    assert set(ReloadOptions.__annotations__) == own - {
        *(
            "protocols",
            "ssh1_ciphers",
            "startups",
            "log",
            "terms",
            "hand_over",
            "judge",
            "find_origin",
            "bans",
            "on_session",
            "verify",
            "proxy_from",
        )
    }


def test_every_word_of_listen_and_reload_is_documented() -> None:
    for function, names in (
        (nacre.listen, set(words())),
        (nacre.Server.reload, set(ReloadOptions.__annotations__)),
    ):
        assert {
            name for name in names if f":param {name}:" not in (function.__doc__ or "")
        } == set()


def test_defaults_are_those_of_listen() -> None:
    made = settings()
    for name in ("login_grace", "max_startups", "keepalive", "keepalive_count", "banner"):
        assert getattr(made, name) == words()[name].default
    assert (made.protocols, made.limits) == (words()["protocols"].default, nacre.Limits())


def test_what_engines_and_startups_need_follows_from_the_words() -> None:
    made = settings(max_startups="3:50:9", limits=nacre.Limits(sessions=2))
    assert made.startup_limit == MaxStartups(3, 50, 9)
    assert (made.options.host_keys, made.options.limits.sessions) == ((host_key(),), 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"host_keys": []}, "needs a host key"), ({"max_startups": "9:1"}, "10:30:100")],
)
def test_impossible_values_are_refused_at_once(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        settings(**changes)
    with pytest.raises(ConfigurationError, match=message):
        settings().changed(**changes)


def test_changed_replaces_what_is_given_and_keeps_the_rest() -> None:
    old = settings(banner="old", max_startups="5")
    old.startups.enter()
    new = old.changed(max_startups="7", banner=None, limits=nacre.Limits(sessions=1))
    assert (new.banner, new.startup_limit.start, new.options.limits.sessions) == ("old", 7, 1)
    assert new.startups is old.startups
    assert (old.startup_limit.start, old.options.limits.sessions) == (5, nacre.Limits().sessions)


@pytest.mark.parametrize("name", ["protocols", "log", "startups", "nonsense"])
def test_what_a_listening_server_can_not_change_is_refused(name: str) -> None:
    changes: dict[str, Any] = {name: (2, 1)}
    with pytest.raises(TypeError, match=name):
        settings().changed(**changes)


def test_a_list_that_changes_later_changes_no_settings() -> None:
    patterns = ["LC_*"]
    made = settings(accept_env=patterns)
    patterns.append("*")
    assert tuple(made.accept_env) == ("LC_*",)


@pytest.mark.parametrize(
    ("served", "request_", "expected"),
    [
        ({}, Shell(), False),
        ({}, Subsystem("sftp"), False),
        ({}, Exec(b"scp -f x"), False),
        ({"handler": handler}, Shell(), True),
        ({"handler": handler}, Exec(b"x"), True),
        ({"handler": handler}, PTY, True),
        ({"handler": handler}, Subsystem("sftp"), False),
        ({"sftp": files}, Subsystem("sftp"), True),
        ({"sftp": files}, Subsystem("other"), False),
        ({"sftp": files}, Exec(b"scp -f x"), True),
        ({"sftp": files}, Exec(b"ls"), False),
        ({"sftp": files}, Shell(), False),
        ({"sftp": files}, PTY, False),
        ({"sftp": files, "handler": handler}, Subsystem("sftp"), True),
        ({"sftp": files, "handler": handler}, Exec(b"scp -f x"), True),
    ],
)
def test_what_is_served_follows_from_handler_and_files(
    served: dict[str, Any], request_: Request, expected: bool
) -> None:
    assert settings(**served).serves(request_) is expected


class FakeSession:
    def __init__(self, subsystem: str | None = None) -> None:
        self.subsystem = subsystem


@pytest.mark.parametrize(
    ("served", "subsystem", "status"),
    [
        ({"handler": handler}, None, 5),
        ({"handler": handler, "sftp": files}, None, 5),
        ({"handler": handler, "sftp": files}, "sftp", 1),
        ({"sftp": files}, None, 1),
    ],
)
async def test_files_are_served_for_sftp_and_without_a_handler(
    served: dict[str, Any], subsystem: str | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve_files(session: object, filesystem: object) -> int:
        assert isinstance(filesystem, MemoryFilesystem)
        return 1

    monkeypatch.setattr("nacre.server.dispatch.serve_files", serve_files)
    session: Any = FakeSession(subsystem)
    assert await settings(**served).serve(session) == status


def test_text_behind_the_software_version() -> None:
    made = settings(terms=ConnectionTerms(version_addendum="of the lab"))
    assert made.options.software == f"{SOFTWARE} of the lab"
    assert settings().options.software == SOFTWARE
    for bad in ("a\nb", "é", "x" * 240):
        with pytest.raises(ConfigurationError, match="VersionAddendum"):
            settings(terms=ConnectionTerms(version_addendum=bad))


def test_a_file_offers_key_exchanges_by_gssapi_if_this_host_has_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library: Any = fake_library()
    monkeypatch.setitem(sys.modules, "gssapi", library)
    config = load(None, ("GSSAPIKeyExchange=yes",)).base
    assert configured({}, config)["terms"].gss_kex == methods(None)
    library.Credentials.error = GSSError(1, 7, "no key")
    with pytest.raises(ConfigurationError, match="GSSAPIKeyExchange: no key"):
        configured({}, config)
