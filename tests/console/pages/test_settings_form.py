"""The form of settings, made of the API's schema."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from nacre.cli.api.openapi import document
from nacre.console.pages.settings_form import changed, fields
from nacre.daemon.store.values import GROUP_SETTINGS, ROLES, SETTINGS

DOCUMENT = document()


def test_each_setting_has_a_field_of_its_kind() -> None:
    found = {one["setting"]: one for one in fields(DOCUMENT, "Settings", {"read_only": False})}
    assert tuple(found) == SETTINGS
    assert len(fields(DOCUMENT, "GroupSettings", {})) == len(GROUP_SETTINGS)
    assert found["role"]["choices"] == list(ROLES)
    assert (found["read_only"]["choices"], found["read_only"]["value"]) == (["yes", "no"], "no")
    assert found["max_sessions"]["kind"] == "number"
    assert (found["folders"]["kind"], found["home"]["kind"]) == ("lines", "text")


def test_only_what_is_changed_is_sent() -> None:
    said = {"service": "sftp", "read_only": True, "max_sessions": 3, "home": None, "rights": "a\nb"}
    form = {
        "setting.service": "sftp",
        "setting.read_only": "no",
        "setting.max_sessions": "",
        "setting.home": " /x ",
        "setting.rights": "a\r\nb\r\n",
        "setting.name": "x",
        "service": "all",
    }
    wanted = {"read_only": False, "max_sessions": None, "home": "/x"}
    assert changed(form, DOCUMENT, "Settings", said) == wanted
    assert changed({}, DOCUMENT, "Settings", said) == {}
    with pytest.raises(HTTPException, match="max sessions is to be a number"):
        changed({"setting.max_sessions": "x"}, DOCUMENT, "Settings", said)
