"""Lines of ``known_hosts``."""

from __future__ import annotations

from pathlib import Path

from cli.keygen.programs import Keygen, mode
from nacre.keys import generate
from nacre.keys.hosts.known_hosts import KnownHosts


def test_the_keys_of_a_host_are_removed(keygen: Keygen, tmp_path: Path) -> None:
    key, other = (generate("ssh-ed25519").public for _ in range(2))
    file = tmp_path / "known_hosts"
    hashed = KnownHosts.line_for("h", 2222, other, hashed=True)
    before = f"# mine\n[h]:2222 {key}\nh {key}\n{hashed}\n@revoked * {other}\n"
    file.write_text(before)
    file.chmod(0o640)
    done = keygen("-f", str(file), "-R", "[h]:2222")
    assert done.exit_code == 0, done.output
    assert "found: line 2" in done.stdout
    assert "found: line 4" in done.stdout
    assert file.read_text() == f"# mine\nh {key}\n@revoked * {other}\n"
    assert file.with_name("known_hosts.old").read_text() == before
    assert mode(file) == 0o640
    again = keygen("-f", str(file), "-R", "[h]:2222")
    assert (again.exit_code, again.stderr) == (0, f"Host [h]:2222 not found in {file}\n")
    assert keygen("-f", str(tmp_path / "nothing"), "-R", "h").exit_code == 255


def test_a_host_is_removed_from_the_usual_file(keygen: Keygen, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    file = tmp_path / ".ssh" / "known_hosts"
    file.write_text(f"h {generate('ssh-ed25519').public}\n")
    assert keygen("-R", "h").exit_code == 0
    assert file.read_text() == ""
    assert keygen("-R", "h", "-l").exit_code == 1


def test_lines_of_ssh_1_are_lines_of_known_hosts(keygen: Keygen) -> None:
    """ssh-keygen knows them no more; nacre ssh writes them."""
    old, key = generate("rsa1", bits=1024).public, generate("ssh-ed25519").public
    Path("file").write_text(f"h,i {old}\nj {key}\n")
    assert keygen("-lF", "i", "-f", "file").stdout == (
        f"# Host i found: line 1 \ni RSA1 {old.fingerprint()}\n"
    )
    assert keygen("-H", "-f", "file").exit_code == 0
    assert keygen("-R", "i", "-f", "file").exit_code == 0
    assert keygen("-R", "j", "-f", "file").exit_code == 0
    assert KnownHosts.parse(Path("file").read_bytes()).about("h")[0].blob == old.blob


def test_a_file_of_something_else_stays(keygen: Keygen) -> None:
    text = f"h {generate('ssh-ed25519').public}\nnonsense\n"
    Path("file").write_text(text)
    for words in (["-R", "h"], ["-H"]):
        done = keygen(*words, "-f", "file")
        assert done.exit_code == 1
        assert done.stderr == (
            "file:2: invalid line\nfile is not a valid known_hosts file.\n"
            "Not replacing existing known_hosts file because of errors\n"
        )
    assert Path("file").read_text() == text
    assert [*Path().iterdir()] == [Path("file")]


def test_names_that_are_not_hashed_are_told(keygen: Keygen) -> None:
    key = generate("ssh-ed25519").public
    Path("file").write_text(f"h {key}\n*.org {key}\n")
    done = keygen("-H", "-f", "file")
    assert done.stdout == "file updated.\nOriginal contents retained as file.old\n"
    assert done.stderr == (
        "file:2: ignoring host name with wildcard: *.org\n"
        "WARNING: file.old contains unhashed entries\n"
        "Delete this file to ensure privacy of hostnames\n"
    )
    assert keygen("-F", "h", "-f", "file").exit_code == 0
    assert keygen("-F", "i", "-f", "file").exit_code == 1
