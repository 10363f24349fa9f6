"""What readers have in common, with a schema of two words."""

import pytest

from nacre.config.kinds import WORD, WORDS, number
from nacre.config.schema import Keyword, Schema
from nacre.config.syntax.reader import FileReader, parse_value
from nacre.errors import ConfigurationError

SCHEMA = Schema(
    [Keyword(name, WORDS, "") for name in ("Host", "Match", "Include")]
    + [Keyword("Count", number(1, 9), ""), Keyword("Name", WORD, "")],
    {"Counter": "Count"},
    ["Old"],
)


class Taking(FileReader[str]):
    def __init__(self):
        super().__init__(SCHEMA, {})
        self.taken = []
        self.directory = ""

    def opens(self, word, rest, origin, outer):
        return f"{outer}/{rest}"

    def take(self, word, rest, origin, scope):
        self.taken.append((scope, word.name, parse_value(word, rest), origin.line))

    def ignores(self, written):
        return written == "ignored"

    def expand(self, text):
        return text.replace("%d", self.directory)


@pytest.fixture
def reader(tmp_path):
    found = Taking()
    found.directory = str(tmp_path)
    return found


def test_lines_blocks_and_files(reader, tmp_path):
    (tmp_path / "b").write_text("Name c\nHost y\nName d\n")
    (tmp_path / "a").write_text(
        "Counter 1\n# x\nHost x\nInclude %d/b none\nName e\nOld 1\nignored x"
    )
    reader.file(str(tmp_path / "a"), "", str(tmp_path))
    reader.finish()
    assert reader.taken == [
        ("", "Count", 1, 1),
        ("/x", "Name", "c", 1),
        ("/x/y", "Name", "d", 3),
        ("/x", "Name", "e", 5),
    ]


def test_words_that_are_passed_over_need_a_value(reader, tmp_path):
    (tmp_path / "a").write_text("ignored\nOld\n")
    reader.file(str(tmp_path / "a"), "", str(tmp_path))
    assert [error.rpartition(": ")[0].rpartition(": ")[2] for error in reader.errors] == [
        "the value is missing"
    ] * 2


def test_a_file_with_zeros_is_told_with_its_line(reader, tmp_path):
    (tmp_path / "a").write_bytes(b"Count 1\n\0\0")
    with pytest.raises(ConfigurationError, match="a line 2: a NUL character"):
        reader.file(str(tmp_path / "a"), "", str(tmp_path))


def test_folders_that_a_pattern_matches_are_passed_over(reader, tmp_path):
    (tmp_path / "parts" / "folder").mkdir(parents=True)
    (tmp_path / "parts" / "file").write_text("Count 1\n")
    (tmp_path / "a").write_text("Include parts/*\n")
    reader.file(str(tmp_path / "a"), "", str(tmp_path))
    reader.finish()
    assert reader.taken == [("", "Count", 1, 1)]


def test_all_errors_are_told_at_the_end(reader, tmp_path):
    (tmp_path / "a").write_text("Count 0\nName\nWhat 1\n" + "Count x\n" * 100)
    reader.file(str(tmp_path / "a"), "", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        reader.finish()
    lines = str(caught.value).splitlines()
    assert len(lines) == 20
    assert "a line 2: Name: the value is missing" in lines[1]


def test_options_have_no_place(reader):
    reader.option("Count=0", "")
    reader.option("Host=x", "")
    assert reader.errors[0].startswith("Count: bad value")
    assert "no meaning on the command line" in reader.errors[1]
