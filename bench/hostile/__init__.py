"""What an honest user notices of an attack: python -m bench.hostile

Start at __main__.py, which measures; attacks.py has the kinds of attacks, target.py the servers.
"""
