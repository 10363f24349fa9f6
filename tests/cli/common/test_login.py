import os

from nacre.cli.common.log import Log
from nacre.cli.common.login import Patience, _identities, _methods, _Trust, agent_path
from nacre.cli.common.target import Target
from nacre.config.client import ClientConfig, parse
from nacre.config.values import LogLevel


def test_methods():
    every = ["publickey", "keyboard-interactive", "password"]
    assert _methods(ClientConfig()) == every
    assert _methods(parse(["BatchMode=yes"])) == ["publickey"]
    assert _methods(parse(["PasswordAuthentication=no"])) == every[:2]
    assert _methods(parse(["PubkeyAuthentication=no"])) == every[1:]
    preferred = ["PreferredAuthentications=gssapi-with-mic,password,publickey"]
    assert _methods(parse(preferred)) == ["password", "publickey"]


def test_agent(monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", "/default")
    monkeypatch.setenv("OTHER", "/other")
    tokens = {"d": "/home/me"}
    assert agent_path("SSH_AUTH_SOCK", tokens) == "/default"
    assert agent_path("$OTHER", tokens) == "/other"
    assert agent_path("%d/agent", tokens) == "/home/me/agent"
    assert agent_path("none", tokens) is None
    monkeypatch.delenv("OTHER")
    assert agent_path("$OTHER", tokens) is None


def test_paths_with_tokens_and_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = parse(["UserKnownHostsFile=~/k_%h %d/k_%p", "User=u", "IdentityFile=~/%r_key"])
    target = Target.of("h", config)
    with open(os.devnull, "wb", buffering=0) as file:
        log = Log(LogLevel.QUIET, file)
        patience = Patience(config)
        trust = _Trust(target, config, log, patience)
        identities = _identities(target, config, config.algorithms(), trust, log, patience)
    assert [str(path) for path in trust._user] == [f"{tmp_path}/k_h", f"{tmp_path}/k_22"]
    assert [str(path) for path in identities._sources.paths(ssh1=False)] == [f"{tmp_path}/u_key"]
