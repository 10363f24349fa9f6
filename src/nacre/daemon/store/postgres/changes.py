"""What the database tells of changes: triggers that notify, and the text of notifications.

A notification is ``user NAME`` if the lookup of one user is another one now, ``bans``, or ``all``.
It is sent by whoever changes a table, also by somebody who does so by hand, and arrives when the
transaction is kept (NOTIFY in PostgreSQL's manual).
"""

from __future__ import annotations

from sqlalchemy import Connection

CHANNEL = "nacre_store"

USER, BANS, ALL = "user", "bans", "all"

_MOST = 100
"""Users whom one statement names; where it changes more of them, it names none."""

_NAMED = {"users": "name", "members": "user", "keys": "user", "factors": "user"}
"""The tables of which each row is of one user, and the column that names the user."""

_WHOLE = {"groups": ALL, "bans": BANS}
"""Other tables that servers look at, and what is told of a change."""

_FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION nacre_tell() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM pg_notify('{CHANNEL}', TG_ARGV[0]);
    RETURN NULL;
END $body$;
CREATE OR REPLACE FUNCTION nacre_tell_users() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    names text[];
BEGIN
    EXECUTE format(
        'SELECT array_agg(name) FROM '
        '(SELECT DISTINCT %I AS name FROM changed LIMIT {_MOST + 1}) AS few',
        TG_ARGV[0]
    ) INTO names;
    IF cardinality(names) > {_MOST} THEN
        PERFORM pg_notify('{CHANNEL}', '{ALL}');
    ELSIF names IS NOT NULL THEN
        PERFORM pg_notify('{CHANNEL}', '{USER} ' || one) FROM unnest(names) AS one;
    END IF;
    RETURN NULL;
END $body$;
"""

_SEEN = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}
"""The rows of a statement that are looked at, which PostgreSQL has for one kind of event each."""


def tell_changes(connection: Connection) -> None:
    """Make the functions and triggers, or make them anew; in the transaction of an upgrade."""
    statements = [_FUNCTIONS]
    for table, column in _NAMED.items():
        for event, kinds in _SEEN.items():
            for kind in kinds:
                name = f"nacre_tell_{event}_{kind}".lower()
                statements.append(
                    f"DROP TRIGGER IF EXISTS {name} ON {table}; "
                    f"CREATE TRIGGER {name} AFTER {event} ON {table} "
                    f"REFERENCING {kind} TABLE AS changed "
                    f"FOR EACH STATEMENT EXECUTE FUNCTION nacre_tell_users('{column}')"
                )
        statements.append(_whole(table, "TRUNCATE", ALL))
    statements += [
        _whole(table, "INSERT OR UPDATE OR DELETE OR TRUNCATE", what)
        for table, what in _WHOLE.items()
    ]
    for statement in statements:
        connection.exec_driver_sql(statement.replace("%", "%%"))


def _whole(table: str, events: str, what: str) -> str:
    return (
        f"DROP TRIGGER IF EXISTS nacre_tell ON {table}; CREATE TRIGGER nacre_tell AFTER {events} "
        f"ON {table} FOR EACH STATEMENT EXECUTE FUNCTION nacre_tell('{what}')"
    )
