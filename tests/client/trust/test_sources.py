import pytest

from nacre.client.trust.sources import Sources, expand
from nacre.errors import ConfigurationError
from nacre.keys.hosts.known_hosts import Verdict
from nacre.keys.key import generate

KEY, OTHER = (generate("ssh-ed25519").public for _ in range(2))


def test_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert [str(path) for path in expand(["~/a", "/b"])] == ["/home/me/a", "/b"]


def test_a_key_that_one_source_has_is_trusted(tmp_path):
    for name, text in (("a", f"h {OTHER}\n"), ("b", f"# b\nh {KEY}\n")):
        (tmp_path / name).write_text(text)
    sources = Sources([tmp_path / "a", tmp_path / "missing"], [tmp_path / "b"], None)
    assert not sources.waits
    verdict, places = sources.find("h", 22, "", KEY)
    assert (verdict, list(map(str, places))) == (Verdict.TRUSTED, [f"{tmp_path}/b:2"])
    assert sources.known("h", 22) == ({KEY.type}, False)
    assert list(map(str, sources.with_key(KEY))) == [f"{tmp_path}/b:2"]


def test_the_command_is_told_what_its_lines_are_for(tmp_path):
    asked = []

    def command(*about):
        asked.append(about)
        return f"@cert-authority * {KEY}\n[h]:2222 {OTHER}\n".encode()

    sources = Sources([], [], command)
    assert sources.waits
    assert sources.known("h", 2222) == ({OTHER.type}, True)
    assert sources.find("h", 2222, "", OTHER)[0] is Verdict.TRUSTED
    assert sources.find("h", 2222, "", KEY, "ADDRESS")[0] is Verdict.CHANGED
    # It is not asked for the name without the port.
    assert sources.find("h", 2223, "", OTHER)[0] is Verdict.UNKNOWN
    assert asked == [
        ("ORDER", "[h]:2222", None),
        ("HOSTNAME", "[h]:2222", OTHER),
        ("ADDRESS", "[h]:2222", KEY),
        ("HOSTNAME", "[h]:2223", OTHER),
    ]


def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    file = tmp_path / "known_hosts"
    sources = Sources([file], [], None)
    assert sources.find("h", 22, "", KEY)[0] is Verdict.UNKNOWN
    file.write_text(f"h {KEY}\n")
    assert sources.find("h", 22, "", KEY)[0] is Verdict.TRUSTED
    with pytest.raises(ConfigurationError, match="can't read"):
        Sources([tmp_path], [], None).find("h", 22, "", KEY)
