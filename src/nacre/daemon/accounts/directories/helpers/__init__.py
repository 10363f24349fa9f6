"""Processes without rights that ask directories: start at pool.py, then process.py."""
