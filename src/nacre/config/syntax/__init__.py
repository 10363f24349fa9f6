"""The form of configuration files: lines and words, blocks, Include, tokens.

Knows no keyword but Host, Match and Include; clients and servers use it alike.
"""
