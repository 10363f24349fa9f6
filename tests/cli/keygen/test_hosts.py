"""Lines of ``known_hosts``."""

from __future__ import annotations

from pathlib import Path

from cli.keygen.programs import Keygen, mode
from nacre.keys import generate
from nacre.keys.known_hosts import KnownHosts


def test_the_keys_of_a_host_are_removed(keygen: Keygen, tmp_path: Path) -> None:
    key, other = (generate("ssh-ed25519").public for _ in range(2))
    file = tmp_path / "known_hosts"
    hashed = KnownHosts.line_for("h", 2222, other, hashed=True)
    before = f"# mine\n[h]:2222 {key}\nh {key}\n{hashed}\n@revoked * {other}\n"
    file.write_text(before)
    file.chmod(0o640)
    done = keygen("-f", str(file), "-R", "[H]:2222")
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
