import pytest

from nacre.config.syntax.match import (
    Criterion,
    check_networks,
    in_list,
    in_networks,
    meets,
    parse_criteria,
)
from nacre.errors import ConfigurationError

CRITERIA = {"all": False, "final": False, "host": True, "user": True}


def test_criteria_with_and_without_arguments():
    assert parse_criteria('host a,b !USER "x y" final', CRITERIA) == (
        Criterion("host", False, "a,b"),
        Criterion("user", True, "x y"),
        Criterion("final", False),
    )
    assert parse_criteria("host=a user=b", CRITERIA) == (
        Criterion("host", False, "a"),
        Criterion("user", False, "b"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a criterion is missing; allowed: all, final, host, user"),
        ("hots a", "unknown criterion hots"),
        ("host", "Match host: the value is missing"),
        ("final=yes", "Match final takes no value"),
        ("all host a", "all can't stand before other criteria"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_criteria(text, CRITERIA)


def test_all_criteria_must_be_met_and_none_is_tested_after_a_failure():
    tested = []

    def test(criterion):
        tested.append(criterion.name)
        return criterion.argument == "yes"

    criteria = parse_criteria("user yes !host yes user yes", CRITERIA)
    assert not meets(criteria, test)
    assert tested == ["user", "host"]


def test_lists_of_patterns():
    assert in_list("a.example", "*.example,b")
    assert not in_list("a.example", "*.example,!a.*")
    assert not in_list("A", "a")
    assert in_list("a", "A", lower=True)
    assert not in_list(None, "*")


def test_networks():
    assert in_networks("192.0.2.7", "192.0.2.0/24")
    assert not in_networks("192.0.2.7", "192.0.2.0/24,!192.0.2.7")
    assert in_networks("2001:db8::1", "10.0.0.0/8,2001:db8::/32")
    assert in_networks("192.0.2.7", "192.0.2.?")
    with pytest.raises(ConfigurationError, match=r"192.0.2.0/99"):
        in_networks("192.0.2.7", "192.0.2.0/99")


def test_a_list_of_networks_has_no_patterns():
    check_networks("192.0.2.0/24,!10.0.0.1,::1")
    for bad in ("none", "10.*", "10.0.0.1/8", "1.2.3.4/33"):
        with pytest.raises(ConfigurationError, match="is no network"):
            check_networks(bad)
