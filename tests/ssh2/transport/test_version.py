import pytest

from nacre.errors import VersionError
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.banner import BannerReader
from nacre.protocol.phases import Role
from nacre.ssh2.transport.version import check_version


def identification(version, role):
    reader = BannerReader(role, DEFAULT_LIMITS)
    peer = reader.receive(f"SSH-{version}-x\r\n".encode())
    assert peer is not None
    return peer


@pytest.mark.parametrize(
    ("version", "role"),
    [
        ("2.0", Role.CLIENT),
        ("1.99", Role.CLIENT),
        ("2.5", Role.SERVER),
        ("3.0", Role.CLIENT),
    ],
)
def test_versions_that_go_on(version, role):
    check_version(identification(version, role), role)


@pytest.mark.parametrize(
    ("version", "role", "message"),
    [
        ("1.5", Role.CLIENT, r"the server \(SSH-1.5-x\) speaks SSH 1.5 only.*Protocol=2,1"),
        ("3.0", Role.SERVER, r"the client \(SSH-3.0-x\) wants 3.0"),
    ],
)
def test_versions_that_are_refused(version, role, message):
    with pytest.raises(VersionError, match=message):
        check_version(identification(version, role), role)
