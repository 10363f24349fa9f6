"""The certificates that the authorities of the store's server have issued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update

from nacre.daemon.store.database import Database
from nacre.daemon.store.tables import CERTIFICATES
from nacre.daemon.store.values import CertificateRecord
from nacre.errors import UserStoreError
from nacre.wire.text import safe

KEPT = 90 * 86400
"""Seconds for which a certificate stays known after its end, for clocks that differ and for who
looks something up."""

HOUR = 3600


class Certificates:
    """The certificates in one file, which several processes may issue and revoke."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, made: CertificateRecord, *, most: int | None = None) -> int:
        """Take note of a certificate that is to be signed; return its serial number.

        :param made: its serial number does not count.
        :param most: how many the user may get within an hour; None for any number.
        :raises UserStoreError: the user has got as many.
        """
        row = {
            column.name: getattr(made, column.name)
            for column in CERTIFICATES.columns
            if column.name not in ("serial", "principals")
        }
        recent = select(func.count()).where(
            CERTIFICATES.c.user == made.user, CERTIFICATES.c.issued > made.issued - HOUR
        )
        old = delete(CERTIFICATES).where(CERTIFICATES.c.valid_before < made.issued - KEPT)
        with self._database.transaction() as connection:
            connection.execute(old)
            if most is not None and connection.execute(recent).scalar_one() >= most:
                raise UserStoreError(
                    f"{safe(made.user, 64)} got {most} certificates within an hour: wait, or use "
                    "one of them"
                )
            new = insert(CERTIFICATES).values(**row, principals=",".join(made.principals))
            return int(connection.execute(new.returning(CERTIFICATES.c.serial)).scalar_one())

    def all(self) -> list[CertificateRecord]:
        """Return all certificates, in the order of their serial numbers."""
        with self._database.reading() as connection:
            rows = connection.execute(select(CERTIFICATES).order_by(CERTIFICATES.c.serial))
            return [_record(row) for row in rows]

    def revoke(
        self, now: int, keep: Callable[[Sequence[CertificateRecord]], None], **of: object
    ) -> int:
        """Revoke certificates; return how many of them were not revoked before.

        :param now: seconds since the epoch.
        :param keep: gets all that are revoked then; if it raises, nothing is revoked.
        :param of: which ones: the values of columns, such as ``user="alice"``. Those that have
            ended are left out.
        :raises UserStoreError: there are none.
        """
        chosen: list[ColumnElement[bool]] = [
            CERTIFICATES.c[name] == value for name, value in of.items()
        ]
        chosen.append(CERTIFICATES.c.valid_before > now)
        with self._database.transaction() as connection:
            found = connection.execute(select(func.count()).where(*chosen)).scalar_one()
            if not found:
                what = ", ".join(
                    f"{name.replace('_', ' ')} {safe(str(value), 64)}" for name, value in of.items()
                )
                raise UserStoreError(
                    f"no certificate that is still valid has the {what}: `nacre ca list` prints all"
                )
            fresh = update(CERTIFICATES).where(*chosen, CERTIFICATES.c.revoked.is_(None))
            changed = connection.execute(fresh.values(revoked=now)).rowcount
            revoked = select(CERTIFICATES).where(CERTIFICATES.c.revoked.is_not(None))
            rows = connection.execute(revoked.order_by(CERTIFICATES.c.serial))
            # Within the transaction, so that of two processes the later one has what both revoke.
            keep([_record(row) for row in rows])
            return int(changed)


def _record(row: Row[Any]) -> CertificateRecord:
    values: dict[str, Any] = dict(row._mapping)
    values["principals"] = tuple(filter(None, values["principals"].split(",")))
    return CertificateRecord(**values)
