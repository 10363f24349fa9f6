"""The web console: pages for people, on top of the REST API.

It is a process of its own, which talks to the API as any other program does. Its key begins
sessions of users and nothing else. Each call is made in the session of the user who looks at the
page, so the API decides what may be seen and done. app.py has the table of pages; ``web`` what all
pages need: calls, sessions, cookies, forms, templates; ``pages`` a file for each subject. Internal.

Tests: tests/console, tests/interop/test_console.py.
"""
