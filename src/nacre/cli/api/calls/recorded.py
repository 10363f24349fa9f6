"""Calls about recordings."""

from __future__ import annotations

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.recordings.asking import RecordingsLink
from nacre.cli.api.recordings.values import WantedRecordings
from nacre.cli.manage.times import moment


def list_recordings(resources: Resources, call: CheckedCall) -> object:
    """Return a page of the recordings, the newest first."""
    query = call.query
    try:
        since = moment(query["since"], end=False) if "since" in query else 0
    except ValueError as error:
        raise Problem(422, str(error)) from None
    wanted = WantedRecordings(
        user=query.get("user", ""), since=since, after=query["after"], limit=query["limit"]
    )
    return link_of(resources).find(wanted)


def link_of(resources: Resources) -> RecordingsLink:
    """Return the link to the process with the recordings.

    :raises Problem: the server records nothing.
    """
    if resources.recordings is None:
        raise Problem(409, "the server records nothing: start it with --record")
    return resources.recordings
