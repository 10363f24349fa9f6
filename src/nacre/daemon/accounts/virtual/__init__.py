"""Virtual users, who are in a store: their policy, what they must show, and their roots.

Start at policy.py.
"""
