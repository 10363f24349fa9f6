"""What users see of themselves."""

from __future__ import annotations

from console.world import World
from nacre.daemon.store.values import StoredKey
from nacre.keys import generate


def test_a_user_sees_its_own_keys_and_usage_and_nothing_else(world: World) -> None:
    own, other = generate("ssh-ed25519").public, generate("ssh-ed25519").public
    world.resources.store.add_keys("uma", [StoredKey(own, "mine")])
    world.resources.store.add_keys("ada", [StoredKey(other, "hers")])
    world.resources.store.change("uma", quota_bytes=2048)
    text = world.browser("uma").get("/you").text
    assert own.fingerprint() in text
    assert "2.0 KiB" in text
    assert other.fingerprint() not in text
    assert "Remove" not in text
    assert [name for key, name in world.direct.calls if key == "user:uma"] == ["own.show"]
