"""Floor 3: having a model served. Launch plans, running servers and the launchers."""
