"""Users who are found elsewhere: a program, HTTP, Python, LDAP and OpenID Connect.

Start at values.py (Directory, what is asked and answered), then found.py (FoundUsers, which asks).
"""
