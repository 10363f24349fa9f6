"""What the programs share that talk to a running server over its control socket."""
