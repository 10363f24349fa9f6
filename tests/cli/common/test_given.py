from __future__ import annotations

from nacre.cli.common.given import GivenOptions


def test_options_are_asked_for_by_their_letters() -> None:
    options = GivenOptions({"n": ["a", "b"], "v": ["", ""]}, ["file"])
    assert options.files == ["file"]
    assert "n" in options
    assert "q" not in options
    assert (options.value("n"), options.value("q")) == ("b", None)
    assert options.values("n") == ["a", "b"]
    assert len(options.values("v")) == 2
    assert options.values("q") == []
    assert not options.show_help
    assert GivenOptions({"help": [""]}, []).show_help
