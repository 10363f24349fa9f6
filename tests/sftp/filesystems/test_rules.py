"""The text of rules for directories, and which rule decides."""

from __future__ import annotations

import pytest

from nacre.errors import ConfigurationError
from nacre.sftp.filesystems.rules import RIGHTS, parse_rules


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (["/:*"], "/:*"),
        (["/:none"], "/:none"),
        (["/:upload,list,download"], "/:list,download,upload"),
        (["/in:list", "/in:upload", "/in:deny=*.exe"], "/in:list,upload,deny=*.exe"),
        (["/in:deny=a,list,allow=*.p?f"], "/in:list,allow=*.p?f,deny=a"),
        (["/b:none\n/a:none"], "/a:none\n/b:none"),
        (["/a:b:list"], "/a:b:list"),
        (["/a b:list"], "/a b:list"),
        ([f"/:{','.join(RIGHTS)}"], "/:*"),
    ],
)
def test_rules_are_written_as_they_are_read(given: list[str], written: str) -> None:
    rules = parse_rules(given)
    assert str(rules) == written
    assert str(parse_rules([str(rules)])) == written


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/in", "has no colon: write DIRECTORY:RIGHTS"),
        ("in:list", "write for example '/in'"),
        ("/in/:list", "write for example '/in'"),
        ("/in/../x:list", "write for example '/x'"),
        ("//in:list", "write for example '/in'"),
        ("/in:lst", "'lst' in the rule of /in is none of list, download"),
        ("/in:", "'' in the rule of /in is none of"),
        ("/in:list,", "'' in the rule of /in is none of"),
        ("/in:list,none", "'none' beside rights: leave out"),
        ("/in:deny=*.exe", "patterns and no rights: give those too"),
        ("/in:list,deny=", "'deny=' is no pattern of a name"),
        ("/in:list,deny=a/b", "'deny=a/b' is no pattern of a name"),
        ("/in:list,forbid=x", "'forbid=x' in the rule of /in"),
        ("/i\x07n:list", "is no rule: write 4096 printable characters"),
        (f"/{'x' * 4096}:list", "is no rule: write 4096 printable characters"),
        ("/in:list," + ",".join(f"deny={n}" for n in range(65)), "too many patterns: give 64"),
        ("\n".join(f"/{n}:list" for n in range(257)), "257 rules are too many: give 256"),
        (f"/in:list,deny={'x' * 256}", "is no pattern of a name"),
    ],
)
def test_an_error_names_the_word_and_the_remedy(text: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_rules([text])
    assert named in str(caught.value)


def test_the_longest_directory_decides_alone() -> None:
    rules = parse_rules(["/:list", "/in:upload", "/in/deep/er:none"])
    for path, expected in (
        ("/", {"list"}),
        ("/x", {"list"}),
        ("/in", {"list"}),
        ("/inner", {"list"}),
        ("/in/x", {"upload"}),
        ("/in/deep", {"upload"}),
        ("/in/deep/er", {"upload"}),
        ("/in/deep/er/x", set()),
        ("/in/deep/er/x/y", set()),
        ("/in/deep/erx", {"upload"}),
    ):
        assert rules.permitted(path) == expected, path
    assert rules.permitted_inside("/in") == {"upload"}
    assert rules.permitted_inside("/in/deep/er") == set()


def test_without_a_rule_nothing_is_allowed() -> None:
    rules = parse_rules(["/in/deep:*"])
    assert not rules.permitted("/x")
    assert not rules.permitted_inside("/in")
    assert rules.lead_through("/")
    assert rules.lead_through("/in")
    assert not rules.lead_through("/in/deep")
    assert not rules.lead_through("/i")
    assert not parse_rules(["/in/deep:none"]).lead_through("/in")


def test_where_rules_begin() -> None:
    rules = parse_rules(["/:list", "/in/deep:*"])
    assert rules.begin_below("/in") == "/in/deep"
    assert rules.begin_below("/in/deep") == "/in/deep"
    assert rules.begin_below("/") is not None
    assert rules.begin_below("/in/deep/x") is None
    assert rules.begin_below("/in/dee") is None


@pytest.mark.parametrize(
    ("path", "directory", "hidden"),
    [
        ("/in/a.pdf", False, False),
        ("/in/a.txt", False, True),
        ("/in/sub", True, False),
        ("/in/sub", False, True),
        ("/in/.git", True, True),
        ("/in/.git/a.pdf", False, True),
        ("/in/sub/.hidden.pdf", False, True),
        ("/in/sub/a.pdf", False, False),
        ("/in", True, False),
    ],
)
def test_patterns(path: str, directory: bool, hidden: bool) -> None:
    (rule,) = parse_rules(["/in:list,allow=*.pdf,deny=.*"])
    assert rule.hides(path, directory=directory) == hidden


def test_a_longer_rule_has_its_own_patterns() -> None:
    rules = parse_rules(["/:list,deny=.git", "/.git/hooks:list"])
    assert not rules.permitted("/.git/x")
    assert rules.permitted("/.git/hooks/x") == {"list"}
