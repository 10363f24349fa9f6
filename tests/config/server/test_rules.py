from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import Connecting, ServerRules


def test_without_match_blocks_one_configuration_holds_for_all():
    base = ServerConfig(max_sessions=3)
    assert ServerRules(base).lookup(Connecting(user="a", address="192.0.2.1")) is base
