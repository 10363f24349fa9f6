from nacre.client.target import Target
from nacre.config.client.dump import client_lines
from nacre.config.client.files import Config


def lines(text, tmp_path, *, origins=False):
    (tmp_path / "c").write_text(text)
    config = Config.load(tmp_path / "c").lookup("h", ["Port=9"])
    target = Target.of("h", config)
    return list(client_lines("h", target.host, config, target.tokens(), origins=origins))


def test_values_and_defaults(tmp_path):
    found = lines("HostName x.%h\nIdentityFile ~/a\nIdentityFile ~/b\nPort 7\n", tmp_path)
    assert found[:4] == ["host h", "user root", "hostname x.h", "port 9"] or found[2] == (
        "hostname x.h"
    )
    assert [line for line in found if line.startswith("identityfile")] == [
        "identityfile ~/a",
        "identityfile ~/b",
    ]
    assert "batchmode no" in found
    assert "loglevel INFO" in found


def test_each_value_tells_where_it_was_written(tmp_path):
    found = lines("\nBatchMode yes\n", tmp_path, origins=True)
    assert f"batchmode yes  # {tmp_path}/c line 2" in found
    assert "port 9  # command line" in found
    assert "compression no  # default" in found


def test_no_text_behind_the_version_is_told_from_an_unset_one(tmp_path):
    assert "versionaddendum " in lines("VersionAddendum none\n", tmp_path)
    assert "versionaddendum a b" in lines("VersionAddendum a b\n", tmp_path)
    assert not [line for line in lines("", tmp_path) if line.startswith("versionaddendum")]
