from party_fixtures import nothing_left  # noqa: F401
