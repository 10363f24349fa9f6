"""The revisions of the tables from 0016 on."""
