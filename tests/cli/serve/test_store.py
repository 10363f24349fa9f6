"""The option that names a shared store, and what can't be used with it."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from nacre.cli.serve.store import StoreOptions, check_shareable, store_options
from nacre.daemon.accounts.directories.plan import UsersPlan
from nacre.daemon.api.plan import APIPlan
from nacre.daemon.edge_settings import NO_EDGE, EdgeSettings
from nacre.daemon.store.postgres.store_url import StoreURL

URL = "postgresql://nacre@db.example.org/nacre"


def given(*words: str, **environment: str) -> Any:
    """Return the URL that the option is parsed to, or the message of the error."""
    found: list[Any] = []

    @click.command()
    @store_options
    def command(shared: StoreOptions) -> None:
        store = shared["store"]
        found.append(None if store is None else store.text)

    done = CliRunner().invoke(command, words, env=environment)
    return found[0] if done.exit_code == 0 else done.output


def test_by_default_the_store_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NACRE_STORE", raising=False)
    assert given() is None


def test_the_option_counts_before_the_environment() -> None:
    assert given(NACRE_STORE=URL) == URL
    assert given("--store", f"{URL}2", NACRE_STORE=URL) == f"{URL}2"


def test_what_is_no_url_is_a_wrong_argument() -> None:
    assert "give a URL such as" in given("--store", "users.db")


@pytest.mark.parametrize(
    ("changed", "option"),
    [
        ({"users": UsersPlan(where="command:/bin/x")}, "--users DIRECTORY"),
        ({"edge": EdgeSettings(api=APIPlan(program="x", addresses=(("::1", 0),)))}, "--api"),
        ({"trust_own_ca": True}, "--trust-own-ca"),
    ],
)
def test_what_can_not_be_shared_is_refused(changed: dict[str, Any], option: str) -> None:
    usual: dict[str, Any] = {
        "store": StoreURL(URL),
        "users": "store",
        "edge": NO_EDGE,
        "trust_own_ca": False,
        "copied": False,
    }
    check_shareable(**usual)
    check_shareable(**usual | {"users": "system"})
    check_shareable(**usual | changed | {"store": None})
    with pytest.raises(click.UsageError, match=f"{option} can't be used with --store yet"):
        check_shareable(**usual | changed)


def test_a_node_has_a_name_of_a_few_characters() -> None:
    names: list[str | None] = []

    @click.command()
    @store_options
    def command(shared: StoreOptions) -> None:
        names.append(shared["node"])

    for words in ([], ["--node", "web-1.example"]):
        assert CliRunner().invoke(command, words).exit_code == 0
    assert names == [None, "web-1.example"]
    done = CliRunner().invoke(command, ["--node", "a:b"])
    assert (done.exit_code, "can't be the name of a node" in done.output) == (2, True)


def test_events_are_copied_to_a_shared_store_alone() -> None:
    usual: dict[str, Any] = {"users": "store", "edge": NO_EDGE, "trust_own_ca": False}
    check_shareable(StoreURL(URL), **usual, copied=True)
    with pytest.raises(click.UsageError, match="--audit-store needs --store"):
        check_shareable(None, **usual, copied=True)


def test_host_keys_are_shared_by_a_store_alone() -> None:
    found: list[StoreOptions] = []

    @click.command()
    @store_options
    def command(shared: StoreOptions) -> None:
        found.append(shared)

    words = ["--share-host-keys", "/etc/nacre/seal"]
    assert CliRunner().invoke(command, [*words, "--store", URL]).exit_code == 0
    assert found[0]["host_keys_seal"] == "/etc/nacre/seal"
    done = CliRunner().invoke(command, words, env={"NACRE_STORE": None})
    assert (done.exit_code, "--share-host-keys needs --store" in done.output) == (2, True)


def test_quotas_are_shared_by_a_store_alone() -> None:
    found: list[StoreOptions] = []

    @click.command()
    @store_options
    def command(shared: StoreOptions) -> None:
        found.append(shared)

    for words, share in (([], False), (["--share-quotas"], True)):
        assert CliRunner().invoke(command, [*words, "--store", URL]).exit_code == 0
        assert found[-1]["share_quotas"] is share
    done = CliRunner().invoke(command, ["--share-quotas"], env={"NACRE_STORE": None})
    assert (done.exit_code, "--share-quotas needs --store" in done.output) == (2, True)
