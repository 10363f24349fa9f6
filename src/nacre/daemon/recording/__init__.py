"""Recordings of sessions: what a session sends to the recorder, and the files that it writes.

Start at recordings.py (what a server does for a session), then recording.py (one session's end of a
socket to the recorder) and frames.py; cast.py and container.py have the format of the files, and
directory.py their names.
"""
