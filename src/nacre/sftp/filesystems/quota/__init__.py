"""How much a user may store and transfer: what counts it, and what refuses more.

:mod:`~nacre.sftp.filesystems.quota.limits` says what may be, a
:mod:`~nacre.sftp.filesystems.quota.ledger` holds what is used by all sessions of a user, and
:mod:`~nacre.sftp.filesystems.quota.counted` has the filesystem that asks both.
"""
