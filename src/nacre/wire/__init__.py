"""The data types of RFC 4251 section 5, messages as classes, and text made safe to print.

Start at codec.py (one value), then message.py (a structure of fields), then numbers.py.
Imports errors and limits; knows no message of any protocol beyond its number.
Internal: nothing here is exported by ``nacre``.
Tests: tests/wire; damaged input: tests/fuzz.
"""
