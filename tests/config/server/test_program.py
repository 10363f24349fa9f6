import pytest

from nacre.config.server.program import for_program
from nacre.errors import ConfigurationError


def test_what_a_program_takes(tmp_path):
    (tmp_path / "c").write_text("LoginGraceTime 5\nPasswordAuthentication yes\nPrintMotd no\n")
    assert for_program(tmp_path / "c").login_grace_time == 5


def test_what_would_have_protected_is_refused(tmp_path):
    (tmp_path / "c").write_text("AllowUsers a\nPermitTTY no\nMatch User b\nForceCommand x\n")
    with pytest.raises(ConfigurationError) as caught:
        for_program(tmp_path / "c")
    lines = str(caught.value).splitlines()
    assert [line.rpartition(" line ")[2][:2] for line in lines[:3]] == ["1:", "2:", "4:"]
    assert "leave Match blocks out" in lines[3]
