from __future__ import annotations

import pytest

from nacre.config.server.penalties import PenaltyRules, penalties, penalties_shown
from nacre.errors import ConfigurationError

WORD = "PerSourcePenalties"
SHOWN = (
    "crash:90 authfail:5 noauth:1 grace-exceeded:10 refuseconnection:10 max:600 min:15 "
    "max-sources4:65536 max-sources6:65536 overflow:permissive overflow6:permissive"
)


def test_yes_is_the_default_and_no_is_none() -> None:
    assert penalties(WORD, ["yes"]) == PenaltyRules()
    assert penalties_shown(penalties(WORD, ["YES"])) == SHOWN
    assert penalties(WORD, ["no"]) is None
    assert penalties_shown(None) == "no"


def test_each_name_has_its_value_and_the_first_counts() -> None:
    rules = penalties(WORD, ["authfail:1m", "max-sources4:7", "overflow:deny-all", "authfail:2"])
    assert rules is not None
    assert (rules.authfail, rules.max_sources4, rules.overflow) == (60, 7, "deny-all")
    assert rules.noauth == PenaltyRules().noauth
    assert "overflow:deny-all overflow6:deny-all" in penalties_shown(rules)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["maybe"], "authfail"),
        (["authfail"], "authfail"),
        (["authfail:soon"], "authfail.*soon"),
        (["max-sources4:0"], "max-sources4"),
        (["overflow:some"], "deny-all or permissive"),
        (["no", "authfail:1"], "must stand alone"),
        (["authfail:1", "yes"], "must stand alone"),
        (["crashed:1"], "crashed"),
    ],
)
def test_bad_words_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        penalties(WORD, words)
