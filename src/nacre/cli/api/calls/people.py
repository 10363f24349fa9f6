"""Calls about users and groups: as ``nacre user`` and ``nacre group``, with the same checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.user.exchange import settings_of
from nacre.cli.user.newcomers import check_fit, checked, hashes, stored
from nacre.cli.user.settings import check_root, file_key, placed
from nacre.daemon.store.store import effective
from nacre.daemon.store.values import (
    GROUP_SETTINGS,
    SETTINGS,
    Group,
    StoredKey,
    StoredUser,
    check_name,
)
from nacre.errors import UserStoreError
from nacre.keys.authorized_keys import parse


def _said(one: Any) -> dict[str, Any]:
    names = GROUP_SETTINGS if isinstance(one, Group) else SETTINGS
    return {name: getattr(one, name) for name in names}


def _settings(given: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """Return settings as the store has them; None for those that are to be inherited.

    :param name: the user in place of ``%u``; None for a group.
    :raises UserStoreError: one is not possible.
    """
    said = {setting: value for setting, value in given.items() if value is not None}
    if "file_key" in said:
        try:
            said["file_key"] = file_key(said["file_key"])
        except click.BadParameter as error:
            raise UserStoreError(f"file_key: {error.message}") from None
    return dict.fromkeys(given) | placed(settings_of(said, GROUP_SETTINGS), name)


def _user(name: str, resources: Resources) -> StoredUser:
    try:
        return resources.store.own(name)
    except UserStoreError as error:
        raise Problem(404, str(error)) from None


def _group(name: str, resources: Resources) -> Group:
    try:
        return resources.store.groups.find(name)
    except UserStoreError as error:
        raise Problem(404, str(error)) from None


def _groups(names: Iterable[str], resources: Resources) -> list[Group]:
    return [resources.store.groups.find(name) for name in names]


def shown_user(user: StoredUser) -> dict[str, Any]:
    """Return what is shown of a user: no secret."""
    return {
        "name": user.name,
        "groups": list(user.groups),
        "disabled": bool(user.disabled),
        "created": user.created,
        "has_password": user.password is not None,
        "password_changed": user.password_changed,
        "must_change": bool(user.must_change),
        "settings": _said(user),
    }


def list_users(resources: Resources, call: CheckedCall) -> object:
    """Return a page of the users."""
    limit = call.query["limit"]
    users = resources.store.page(call.query["after"], limit)
    return {"users": [shown_user(one) for one in users], "next": _next(users, limit)}


def _next(page: Sequence[Any], limit: int) -> str | None:
    """Return the name after which the next page begins; None where this may be the last one."""
    return page[-1].name if len(page) == limit else None


def show_user(resources: Resources, call: CheckedCall) -> object:
    """Return a user, with the settings that hold."""
    user = _user(call.path["name"], resources)
    holds = effective(user, _groups(user.groups, resources))
    enrolled = resources.store.factors.enrolled(user.name)
    return {**shown_user(user), "holds": _said(holds), "enrolled": enrolled}


def add_user(resources: Resources, call: CheckedCall) -> object:
    """Add a user."""
    given, name = call.body, call.body["name"]
    check_name(name)
    if resources.store.find(name) is not None:
        raise Problem(409, f"there is a user {name} already")
    groups = tuple(given.get("groups", ()))
    inherited = _groups(groups, resources)
    user = StoredUser(
        name=name,
        groups=groups,
        disabled=given.get("disabled", False),
        must_change=given.get("must_change", False),
        **_settings(given.get("settings", {}), name),
    )
    check_root(user, inherited, resources.store)
    keys = [key for line in given.get("keys", ()) for key in _keys(line)]
    password = _password(given)
    check_fit(effective(user, inherited), password)
    (hashed,) = hashes([password])
    resources.store.add(replace(user, password=hashed), keys)
    return shown_user(resources.store.own(name))


def change_user(resources: Resources, call: CheckedCall) -> object:
    """Change a user; what is not given stays the same."""
    given, name = call.body, call.path["name"]
    before = _user(name, resources)
    changed: dict[str, Any] = _settings(given.get("settings", {}), name)
    if "disabled" in given:
        changed["disabled"] = given["disabled"]
    if "groups" in given:
        changed["groups"] = tuple(given["groups"])
    user = replace(before, **changed)
    check_root(user, _groups(user.groups, resources), resources.store)
    resources.store.change(name, **changed)
    return shown_user(resources.store.own(name))


def remove_user(resources: Resources, call: CheckedCall) -> object:
    """Remove a user; connections that are open go on."""
    _user(call.path["name"], resources)
    resources.store.remove(call.path["name"])
    return None


def set_password(resources: Resources, call: CheckedCall) -> object:
    """Set a user's password."""
    name = call.path["name"]
    _user(name, resources)
    user = resources.store.user(name)
    password = _password(call.body)
    check_fit(user, password, resources.store.passwords.last(user))
    (hashed,) = hashes([password])
    must_change = call.body.get("must_change", False)
    resources.store.passwords.set(name, hashed, must_change=must_change)
    return None


def remove_password(resources: Resources, call: CheckedCall) -> object:
    """Remove a user's password."""
    _user(call.path["name"], resources)
    resources.store.passwords.set(call.path["name"], None)
    return None


def _password(given: Mapping[str, Any]) -> bytes | None:
    if "password" not in given:
        return None
    return checked(given["password"].encode("utf-8", "surrogateescape"))


def _keys(line: str) -> list[StoredKey]:
    found = parse(line.encode("utf-8", "surrogateescape"))
    for _, reason in found.rejected:
        raise UserStoreError(f"the key can't be used: {reason}")
    if not found.entries:
        raise UserStoreError("the key is none: give a line of authorized_keys")
    return [stored(entry) for entry in found]


def list_keys(resources: Resources, call: CheckedCall) -> object:
    """Return a user's keys."""
    _user(call.path["name"], resources)
    return {"keys": [shown_key(key) for key in resources.store.keys(call.path["name"])]}


def shown_key(key: StoredKey) -> dict[str, Any]:
    """Return what is shown of a key."""
    return {
        "fingerprint": key.key.fingerprint(),
        "type": key.key.type,
        "key": str(key.key),
        "options": key.options,
        "comment": key.comment,
        "added": key.added,
    }


def add_key(resources: Resources, call: CheckedCall) -> object:
    """Add keys to a user; one that is there gets the new options and the new comment."""
    name = call.path["name"]
    _user(name, resources)
    added = _keys(call.body["key"])
    resources.store.add_keys(name, added)
    blobs = {key.key.blob for key in added}
    return {"keys": [shown_key(one) for one in resources.store.keys(name) if one.key.blob in blobs]}


def remove_key(resources: Resources, call: CheckedCall) -> object:
    """Remove a key of a user."""
    name, fingerprint = call.path["name"], call.path["fingerprint"]
    _user(name, resources)
    found = [one for one in resources.store.keys(name) if one.key.fingerprint() == fingerprint]
    if not found:
        raise Problem(404, f"{name} has no key of this fingerprint")
    for one in found:
        resources.store.remove_key(name, one.key)
    return None


def _shown_group(group: Group, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {
        "name": group.name,
        "created": group.created,
        "users": sizes.get(group.name, 0),
        "settings": _said(group),
    }


def list_groups(resources: Resources, call: CheckedCall) -> object:
    """Return a page of the groups."""
    limit, sizes = call.query["limit"], resources.store.groups.sizes()
    all_of_them = resources.store.groups.all()
    page = [one for one in all_of_them if one.name > call.query["after"]][:limit]
    return {"groups": [_shown_group(one, sizes) for one in page], "next": _next(page, limit)}


def show_group(resources: Resources, call: CheckedCall) -> object:
    """Return a group."""
    return _shown_group(_group(call.path["name"], resources), resources.store.groups.sizes())


def add_group(resources: Resources, call: CheckedCall) -> object:
    """Add a group."""
    name = call.body["name"]
    check_name(name, "group")
    if any(one.name == name for one in resources.store.groups.all()):
        raise Problem(409, f"there is a group {name} already")
    resources.store.groups.add(Group(name=name, **_settings(call.body.get("settings", {}), None)))
    return _shown_group(resources.store.groups.find(name), {})


def change_group(resources: Resources, call: CheckedCall) -> object:
    """Change a group; what is not given stays the same."""
    name = call.path["name"]
    _group(name, resources)
    changed = _settings(call.body["settings"], None)
    if changed:
        resources.store.groups.change(name, **changed)
    return show_group(resources, call)


def remove_group(resources: Resources, call: CheckedCall) -> object:
    """Remove a group that has no users."""
    name = call.path["name"]
    _group(name, resources)
    if size := resources.store.groups.sizes().get(name, 0):
        raise Problem(409, f"the group {name} has {size} users: take them out of it first")
    resources.store.groups.remove(name)
    return None


def list_members(resources: Resources, call: CheckedCall) -> object:
    """Return a page of the names of a group's users."""
    name, limit = call.path["name"], call.query["limit"]
    _group(name, resources)
    names = [one for one in resources.store.groups.users(name) if one > call.query["after"]]
    page = names[:limit]
    return {"users": page, "next": page[-1] if len(page) == limit else None}
