"""What Ansible loads; the name of a file is that of the plugin."""
