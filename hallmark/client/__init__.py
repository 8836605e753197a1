"""Floor 3: our own wire client. It can send wrong things, and takes nothing for a success that is none."""
