from __future__ import annotations

import pytest

from nacre.errors import SFTPError
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.chosen import version
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.extensions import take_pairs
from nacre.sftp.protocol.messages import FXP
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from nacre.sftp.protocol.status import FX
from nacre.sftp.protocol.versions import THIRD, Version
from nacre.wire.codec import WireReader, string, text, u32

VERSIONS = [3, 4, 5, 6]


class Pair:
    """A client that asks for a version, and a server that speaks up to another one."""

    def __init__(self, asked: int, highest: int = 6, **options: object) -> None:
        self.agreed: list[Version] = []
        self.client = SFTPClientProtocol()
        if asked != 3:
            self.client.propose(asked)
        self.server = SFTPServerProtocol(
            highest=highest,
            agreed=self.agreed.append,
            **options,  # type: ignore[arg-type]
        )
        assert self.up() == []
        self.down()

    def up(self) -> list[Call]:
        self.server.receive(b"".join(self.client.data_to_send()))
        calls = []
        while (call := self.server.next_call()) is not None:
            calls.append(call)
        return calls

    def down(self) -> list[tuple[int, object]]:
        return self.client.receive(b"".join(self.server.data_to_send()))

    def taken(self, request: msg.SFTPRequest[object]) -> msg.SFTPRequest[object] | None:
        """Return what the server takes a request for; None if it refused it."""
        self.client.send(request)
        return calls[0].request if (calls := self.up()) else None


def test_every_version_has_a_form_for_every_request() -> None:
    for number in VERSIONS:
        assert version(number).forms.keys() == THIRD.forms.keys()


# --- denials ---


def test_what_is_denied_stays_denied_in_later_versions() -> None:
    for kind, request in (
        (msg.Rename, msg.Rename("a", "b")),
        (msg.Rename, ext.PosixRename("a", "b")),
        (ext.PosixRename, ext.PosixRename("a", "b")),
        (ext.HardLink, ext.HardLink("a", "b")),
        (msg.SymLink, msg.SymLink("a", "b")),
        (msg.Open, msg.Open("a", 2)),
    ):
        pair = Pair(6, denied={kind: "it is denied"})
        assert pair.taken(request) is None
        ((_, result),) = pair.down()
        assert isinstance(result, SFTPError)
        assert result.code == FX.PERMISSION_DENIED
    pair = Pair(6, denied={ext.PosixRename: "it is denied"})
    assert pair.taken(msg.Rename("a", "b")) == msg.Rename("a", "b")


def test_a_handle_that_is_not_open_has_a_code_from_version_4_on() -> None:
    for number, code in ((3, FX.FAILURE), (4, FX.INVALID_HANDLE), (6, FX.INVALID_HANDLE)):
        pair = Pair(number)
        assert pair.taken(msg.FStat(b"none")) is None
        ((_, result),) = pair.down()
        assert isinstance(result, SFTPError)
        assert result.code == code


@pytest.mark.parametrize(
    ("number", "codes"), [(3, (4, 4, 4)), (4, (11, 4, 4)), (5, (11, 14, 4)), (6, (11, 14, 18))]
)
def test_a_failure_has_a_code_that_the_version_has(number: int, codes: tuple[int, ...]) -> None:
    import errno

    pair = Pair(number)
    for name, code in zip((errno.EEXIST, errno.ENOSPC, errno.ENOTEMPTY), codes, strict=True):
        pair.client.send(msg.Remove("f"))
        (call,) = pair.up()
        pair.server.send_error(call.id, OSError(name, ""))
        ((_, result),) = pair.down()
        assert isinstance(result, SFTPError)
        assert (result.code, result.errno) == (code, name)


def test_init_with_more_than_it_should_have() -> None:
    server = SFTPServerProtocol()
    server.receive(string(bytes([FXP.INIT]) + u32(6) + text("name") + b"\xff"))
    assert server.next_call() is None
    answer = WireReader(b"".join(server.data_to_send())[4:])
    assert (answer.u8(), answer.u32()) == (FXP.VERSION, 6)
    assert take_pairs(answer)["newline"] == "\n"
