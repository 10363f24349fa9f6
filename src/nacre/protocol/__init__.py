"""What SSH-2 and SSH-1 share: the interface of an engine, its options, questions and events.

Start at engine.py (the interface), then asks.py (questions), events.py, options.py.
Imports crypto (names only), keys, wire, errors and limits; knows no packet and no message number.
Internal but for what ``nacre`` exports: algorithms, UserRequirement, Challenge, Prompt and others.
Tests: tests/protocol; the rest through the engines, in tests/ssh2 and tests/ssh1.
"""
