import pytest

from nacre.config.jumps import Jump, parse_jumps
from nacre.errors import ConfigurationError


def test_jumps():
    assert parse_jumps("-J", "a,u@b:7,[::1]:8,ssh://x@y/") == (
        Jump("a"),
        Jump("b", "u", 7),
        Jump("::1", None, 8),
        Jump("y", "x"),
    )


@pytest.mark.parametrize("jump", ["a", "u@a", "u@a:7", "[::1]", "u@[::1]:7"])
def test_a_jump_is_written_as_it_was_read(jump):
    assert str(parse_jumps("-J", jump)[0]) == jump


@pytest.mark.parametrize("text", ["", "a,", "-oProxyCommand=x", "@a", "a:0", "a b", "u@", "a:b:c"])
def test_what_is_no_jump(text):
    with pytest.raises(ConfigurationError, match=r"^-J: "):
        parse_jumps("-J", text)
