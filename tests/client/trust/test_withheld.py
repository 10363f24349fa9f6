from nacre.client.trust.withheld import withheld
from nacre.config.client.files import Config

EVERYTHING = [
    *("PasswordAuthentication=yes", "KbdInteractiveAuthentication=yes", "ForwardAgent=yes"),
    *("LocalForward=1 a:1", "RemoteForward=2 a:1", "DynamicForward=3"),
    *("ForwardX11=yes", "Tunnel=yes"),
]
NOTHING = ["PasswordAuthentication=no", "KbdInteractiveAuthentication=no"]


def test_what_a_host_does_not_get() -> None:
    config, features = withheld(Config(()).lookup("h", EVERYTHING))
    assert features == [
        "Password authentication",
        "Keyboard-interactive authentication",
        "Agent forwarding",
        "X11 forwarding",
        "Port forwarding",
        "Tunnel forwarding",
    ]
    assert not config.forwards
    assert not config.password_authentication
    assert not config.kbd_interactive


def test_what_is_off_is_not_named() -> None:
    before = Config(()).lookup("h", NOTHING)
    assert withheld(before) == (before, [])
    assert withheld(Config(()).lookup("h", [*NOTHING, "DynamicForward=3"]))[1] == [
        "Port forwarding"
    ]
