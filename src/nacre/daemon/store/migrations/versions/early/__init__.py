"""The first eight revisions."""
