"""What ``--help``, ``nacre help`` and the manual pages say about the programs.

Start at pages.py, then page.py (how a page is made and printed), then grouped.py (the programs that
click parses). options.py has the options of ssh, sftp and scp, whose parsers are in common.
No program loads this folder to start: a page is loaded when it is shown.
Internal: the interface is the command line. Tests: tests/cli/help.
"""
