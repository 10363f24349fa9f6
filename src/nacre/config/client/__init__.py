"""ssh_config: the configuration of a client.

Start at files.py: Config finds the files and reads them for a host, by reader.py. The result is the
ClientConfig of config.py. words.py is the schema; dump.py prints a configuration as ssh -G does.
"""
