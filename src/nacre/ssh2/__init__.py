"""Floor 5: SSH-2, as a state machine without I/O."""
