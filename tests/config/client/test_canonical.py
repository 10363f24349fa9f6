import pytest

from nacre.config.client import canonical
from nacre.errors import ConfigurationError


@pytest.fixture
def find(monkeypatch):
    names = {"h.a.": "real.a", "h.b.": "h.b", "dot.": "dot"}
    monkeypatch.setattr(canonical, "_look_up", names.get)

    def look(host, **values):
        known = {"CanonicalizeHostname": "yes", "CanonicalDomains": ("none", "a", "b"), **values}
        return canonical.canonical(host, known.get)

    return look


def test_the_first_domain_that_has_the_name(find):
    assert find("h") == "h.a"
    assert find("h", CanonicalDomains=("b",)) == "h.b"
    assert find("h", CanonicalizePermittedCNAMEs=(("*.a", "*.a"),)) == "real.a"
    assert find("other") == "other"


def test_what_is_not_searched(find):
    assert find("192.0.2.1") == "192.0.2.1"
    assert find("h.x.y") == "h.x.y"
    assert find("dot.") == "dot"
    assert find("h", ProxyJump="a") == "h"
    assert find("h", ProxyJump="a", CanonicalizeHostname="always") == "h.a"


def test_without_a_fallback_a_name_that_is_not_found_is_an_error(find):
    with pytest.raises(ConfigurationError, match="Could not resolve host 'other'"):
        find("other", CanonicalizeFallbackLocal=False)


def test_local_addresses():
    assert "127.0.0.1" in list(canonical.local_addresses())
