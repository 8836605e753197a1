"""Floor 6: what `run.py` can be asked to do. Each runs pytest as a process; none imports the plugin."""
