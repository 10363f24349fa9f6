import pytest

from nacre.client.trust import certificates
from nacre.keys.certificate import Certificate
from nacre.keys.key import generate
from nacre.protocol.options import DEFAULT_ALGORITHMS

KEY = generate("ssh-ed25519").public
AUTHORITY = generate("ecdsa-sha2-nistp256")
NOW = 1000.0


def refusal(name="h", **fields):
    made = Certificate.issue(KEY, AUTHORITY, **{"kind": "host", "principals": ["h"], **fields})
    assert certificates.authority(made) == AUTHORITY.public
    return certificates.refusal(
        made, name, now=NOW, ca_signatures=DEFAULT_ALGORITHMS.ca_signatures, rsa_bits=1024
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"principals": ()},
        {"principals": ("other", "h")},
        {"valid_after": 1000, "valid_before": 1001},
        {"extensions": {"unknown@example.org": b""}},
    ],
    ids=repr,
)
def test_valid(fields):
    assert refusal(**fields) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "user"}, "it is not a host's certificate"),
        ({"principals": ("other",)}, "h is not among the certificate's principals"),
        ({"principals": ("?", "*")}, "h is not among the certificate's principals"),
        ({"valid_after": 1001}, "the certificate is not yet valid"),
        ({"valid_before": 1000}, "the certificate has expired"),
        (
            {"critical_options": {"source-address": b"", "a\n": b""}},
            r"it has critical options, of which hosts have none: a\x0a, source-address",
        ),
    ],
    ids=repr,
)
def test_not_valid(fields, reason):
    assert refusal(**fields) == reason


def test_an_algorithm_of_the_authority_that_is_not_allowed():
    made = Certificate.issue(KEY, AUTHORITY, kind="host")
    said = certificates.refusal(made, "h", now=NOW, ca_signatures=("ssh-ed25519",), rsa_bits=1024)
    assert said is not None
    assert "CASignatureAlgorithms" in said
