"""``nacre replay``: recordings of ``nacre serve --record``.

Start at command.py; player.py shows a recording, listing.py lists them.
"""
