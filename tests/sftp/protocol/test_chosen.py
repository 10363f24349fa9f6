from __future__ import annotations

import pytest

from nacre.errors import LocalProtocolError, RemoteProtocolError, VersionError
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.chosen import version
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import FXP
from nacre.sftp.protocol.versions import THIRD
from nacre.wire.codec import string, u32
from sftp.protocol.test_versions import VERSIONS, Pair


@pytest.mark.parametrize("asked", VERSIONS)
@pytest.mark.parametrize("highest", VERSIONS)
def test_both_ends_agree_on_the_lower_version(asked: int, highest: int) -> None:
    pair = Pair(asked, highest)
    lower = version(min(asked, highest))
    assert pair.client.version is pair.server.version is lower
    assert pair.agreed == [lower]


def test_versions_that_there_are_not() -> None:
    for number in (2, 7):
        with pytest.raises(ValueError, match=r"give 3 to 6"):
            version(number)
        with pytest.raises(ValueError, match=r"give 3 to 6"):
            SFTPClientProtocol().propose(number)


def test_a_version_is_proposed_before_init_is_sent() -> None:
    client = SFTPClientProtocol()
    client.data_to_send()
    with pytest.raises(LocalProtocolError, match="INIT was sent"):
        client.propose(4)


@pytest.mark.parametrize("answer", [2, 6, 1 << 31])
def test_a_server_that_chooses_what_was_not_asked_for(answer: int) -> None:
    client = SFTPClientProtocol()
    client.propose(5)
    with pytest.raises(VersionError, match=f"speaks version {answer} of SFTP, not 3 to 5"):
        client.receive(string(bytes([FXP.VERSION]) + u32(answer)))


# --- version-select ---


@pytest.mark.parametrize("first", [3, 6])
@pytest.mark.parametrize("second", VERSIONS)
def test_a_client_selects_another_version(first: int, second: int) -> None:
    pair = Pair(first)
    assert pair.client.extensions["versions"] == "3,4,5,6"
    pair.client.send(ext.VersionSelect(str(second)))
    assert pair.up() == []
    assert [result for _, result in pair.down()] == [None]
    assert pair.server.version is version(second)
    assert pair.agreed == [version(first), version(second)]


def test_a_server_of_one_version_announces_no_list() -> None:
    pair = Pair(6, 3)
    assert "versions" not in pair.client.extensions
    with pytest.raises(LocalProtocolError, match="does not offer"):
        pair.client.send(ext.VersionSelect("6"))


@pytest.mark.parametrize("wanted", ["2", "7", "", "06", " 6", "6,5", "\x1b[2J", "6" * 5000])
def test_a_version_that_is_not_on_the_list_ends_the_session(wanted: str) -> None:
    pair = Pair(3)
    pair.client.send(ext.VersionSelect(wanted))
    with pytest.raises(RemoteProtocolError, match="not on the list") as caught:
        pair.up()
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert pair.server.version is THIRD


def test_a_version_above_the_cap_can_not_be_selected() -> None:
    pair = Pair(3, 4)
    pair.client.send(ext.VersionSelect("5"))
    with pytest.raises(RemoteProtocolError):
        pair.up()


def test_no_version_is_selected_while_a_request_waits_or_after_a_file_was_opened() -> None:
    pair = Pair(3)
    pair.client.send(msg.Stat("f"))
    pair.client.send(ext.VersionSelect("6"))
    with pytest.raises(RemoteProtocolError):
        pair.up()
    pair = Pair(3)
    pair.client.send(msg.Open("f", 1))
    (call,) = pair.up()
    pair.server.send_handle(call.id, object())
    pair.client.send(ext.VersionSelect("6"))
    with pytest.raises(RemoteProtocolError):
        pair.up()
