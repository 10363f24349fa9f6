import os
import socket

from nacre.cli.common.log import Log
from nacre.cli.common.login import Patience, _identities, _Trust
from nacre.client.target import Target
from nacre.config.client.files import parse
from nacre.config.values import LogLevel


def test_paths_with_tokens_and_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = parse(["UserKnownHostsFile=~/k_%h %d/k_%p", "User=u", "IdentityFile=~/%r_key"])
    target = Target.of("h", config)
    with open(os.devnull, "wb", buffering=0) as file, socket.socket() as carrier:
        log = Log(LogLevel.QUIET, file)
        patience = Patience(config)
        trust = _Trust(target, config, log, patience)
        identities = _identities(target, config, trust, log, patience, carrier)
    assert [str(path) for path in trust._sources.user] == [f"{tmp_path}/k_h", f"{tmp_path}/k_22"]
    assert [str(path) for path in identities._sources.paths(ssh1=False)] == [f"{tmp_path}/u_key"]
