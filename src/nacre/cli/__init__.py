"""Floor 8: arguments, output and exit codes, nothing else."""
