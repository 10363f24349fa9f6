import pytest

from nacre.config.syntax.tokens import expand, expand_path, expand_variables
from nacre.errors import ConfigurationError


def test_expand():
    assert expand("%h-%%h-%p", {"h": "web", "p": "22"}) == "web-%h-22"
    assert expand("plain", {}) == "plain"


@pytest.mark.parametrize("text", ["%x", "100%"])
def test_unknown_tokens(text):
    with pytest.raises(ConfigurationError, match="is not possible here; allowed: %% %h"):
        expand(text, {"h": "web"})


def test_a_value_is_not_expanded_again():
    assert expand("%h", {"h": "%p"}) == "%p"


def test_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_path("~/.ssh/%h", {"h": "web"}) == "/home/me/.ssh/web"
    for text, path in (("~", "/home/me/"), ("~//x", "/home/me/x"), ("/a//~", "/a//~")):
        assert expand_path(text, {}) == path


def test_variables_alone(monkeypatch):
    monkeypatch.setenv("PLACE", "/run/x")
    monkeypatch.delenv("NONE_SUCH", raising=False)
    assert expand_variables("${PLACE}/%h:$PLACE") == "/run/x/%h:$PLACE"
    for text, message in (
        ("${NONE_SUCH}", "the variable NONE_SUCH is not set"),
        ("${PLACE", "needs a name and }"),
        ("${}", "needs a name and }"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            expand_variables(text)


def test_a_home_of_nobody():
    with pytest.raises(ConfigurationError, match="there is no such user"):
        expand_path("~none-such-user/x", {})
