"""sshd_config: the configuration of a server."""
