"""Floor 5: SSH-1.5 (draft-ylonen-ssh-protocol-00). Weak, and off unless someone switches it on."""
