"""``nacre ban``: the networks that `nacre serve --bans` keeps out."""
