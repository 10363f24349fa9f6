"""The schemas that are made of the fields of values."""

from __future__ import annotations

from dataclasses import fields

from nacre.cli.api.shapes import SCHEMAS
from nacre.daemon.audit.chain import Kept
from nacre.daemon.control.values import Connected, Details, Running


def members(name: str) -> set[str]:
    return set(SCHEMAS[name]["properties"])


def test_they_have_the_fields_of_what_is_shown() -> None:
    for name, kind in (("Connection", Connected), ("Details", Details), ("Session", Running)):
        assert members(name) == {field.name for field in fields(kind)}
    assert members("Event") == set(Kept._fields)


def test_settings_have_their_types_words_and_bounds() -> None:
    settings = SCHEMAS["Settings"]["properties"]
    assert settings["service"]["enum"] == ["all", "shell", "sftp", None]
    assert settings["read_only"] == {"type": ["boolean", "null"]}
    assert settings["password_history"]["maximum"] == 24
    assert settings["home"]["type"] == ["string", "null"]


def test_no_secret_is_shown_of_a_user() -> None:
    assert "password" not in members("User")
