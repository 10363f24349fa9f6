"""Which of SYMLINK's paths comes first, by the peer's identification line."""

from __future__ import annotations

import pytest

from nacre.sftp.protocol.messages import SymLink
from nacre.sftp.protocol.server import SFTPServerProtocol
from nacre.sftp.protocol.symlinks import symlink
from nacre.wire.codec import string, text, u8, u32

TARGET_FIRST = text("target") + text("link")
LINK_FIRST = text("link") + text("target")


@pytest.mark.parametrize(
    ("server", "sent"),
    [
        ("", TARGET_FIRST),
        ("SSH-2.0-OpenSSH_9.2p1 Debian-2", TARGET_FIRST),
        ("SSH-2.0-nacre_0.1.0", TARGET_FIRST),
        ("SSH-2.0-paramiko_3.4.0", TARGET_FIRST),
        ("SSH-2.0-dropbear_2022.83", TARGET_FIRST),
        ("SSH-2.0-mod_sftp", TARGET_FIRST),
        ("SSH-2.0-like AsyncSSH_", TARGET_FIRST),
        ("SSH-2.0-AsyncSSH_2.14.0", LINK_FIRST),
        ("SSH-2.0-ssh2js1.15.0srv", LINK_FIRST),
        ("SSH-2.0-Erlang/4.13.2", LINK_FIRST),
        ("SSH-2.0-Erlang/4.13.2 a-comment", LINK_FIRST),
        ("SSH-2.0-Twisted_26.10.0", LINK_FIRST),
    ],
)
def test_the_order_that_a_client_sends(server: str, sent: bytes) -> None:
    request = symlink("target", "link", server, as_drafted=False)
    assert request.encode() == sent
    assert request.NUMBER == 20


@pytest.mark.parametrize(
    ("server", "sent"),
    [("", LINK_FIRST), ("SSH-2.0-OpenSSH_9.2p1", LINK_FIRST), ("SSH-2.0-mod_sftp", TARGET_FIRST)],
)
def test_the_order_that_a_client_sends_in_versions_4_and_5(server: str, sent: bytes) -> None:
    assert symlink("target", "link", server, as_drafted=True).encode() == sent


@pytest.mark.parametrize(
    ("client", "sent"),
    [
        ("", TARGET_FIRST),
        ("SSH-2.0-OpenSSH_9.2p1", TARGET_FIRST),
        ("SSH-2.0-nacre_0.1.0", TARGET_FIRST),
        ("SSH-2.0-libssh2_1.10.0", TARGET_FIRST),
        ("SSH-2.0-Go", TARGET_FIRST),
        ("SSH-2.0-libssh_0.10.5", LINK_FIRST),
        ("SSH-2.0-AsyncSSH_2.14.0", LINK_FIRST),
        ("SSH-2.0-ssh2js1.15.0", LINK_FIRST),
        ("SSH-2.0-phpseclib_3.0 (libsodium)", LINK_FIRST),
        ("SSH-2.0-WinSCP_release_6.3", LINK_FIRST),
        ("SSH-2.0-Twisted_26.10.0", LINK_FIRST),
    ],
)
def test_the_order_that_a_server_expects(client: str, sent: bytes) -> None:
    server = SFTPServerProtocol(peer=client)
    server.receive(string(u8(1) + u32(3)) + string(u8(20) + u32(7) + sent))
    call = server.next_call()
    assert call is not None
    assert call.request == SymLink("target", "link")
