"""Keys of each family: a public and a private class, with the fields of blob and private section.

Start at eddsa.py, the shortest; what all have in common is in keys/base.py. keys/key.py loads the
family of a type when it is used.
Tests: tests/keys/families.
"""
