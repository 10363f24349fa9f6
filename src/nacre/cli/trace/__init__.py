"""``nacre trace``: connect to a host and print each message, phase by phase.

Start at command.py (arguments and output), then tracing.py (events to records), then decode.py
(SSH-2 messages to fields) and decode1.py (SSH-1). page.py and style.py make a page of the records.
capture.py sees the bytes of the connection, and pcap.py has the format of the file for Wireshark.
Imports the messages of ssh1 and ssh2, client and cli.ssh, whose arguments and plan it uses.
Internal: use the trace= of nacre.connect. Tests: tests/cli/trace, tests/cli/ssh.
"""
