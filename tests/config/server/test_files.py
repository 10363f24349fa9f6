from pathlib import Path

import pytest

from nacre.config.server.config import AS_SSHD
from nacre.config.server.files import load, parse
from nacre.errors import ConfigurationError


def test_options_count_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("MaxSessions 5\nMaxAuthTries 4\n")
    config = load(tmp_path / "c", ("MaxSessions=3",)).base
    assert (config.max_sessions, config.max_auth_tries) == (3, 4)
    assert str(config.settings["MaxSessions"][0].origin) == "command line"


def test_defaults_can_be_those_of_sshd(tmp_path: Path) -> None:
    config = load(None, ("HostKey=/k",), defaults=AS_SSHD).base
    assert config.required_rsa_size == config.limits().user_rsa_bits == 1024
    assert config.host_keys == ("/k",)
    assert config.subsystems == ()  # and nacre serve has sftp
    assert load(None).base.required_rsa_size == 1024


def test_options_are_checked_for_a_server() -> None:
    assert parse(["RequiredRSASize=512"]).limits().user_rsa_bits == 1024
    with pytest.raises(ConfigurationError, match="KerberosOrLocalPasswd"):
        parse(["KerberosOrLocalPasswd=no"])
    with pytest.raises(ConfigurationError, match="no meaning on the command line"):
        parse(["Match=all"])
