"""Floor 6: the words of ssh_config and sshd_config."""
