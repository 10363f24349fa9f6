"""The recorder: a process with an account of its own, which writes the recordings of a server.

recorder.py is the server's side, which starts it and gives it sockets; recorder_process.py is the
process.
"""
