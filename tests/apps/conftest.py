from party_fixtures import (  # noqa: F401
    client,
    host_key,
    make_server,
    nothing_left,
    records,
    server,
    ssh,
)
