"""Floor 3: our own wire client. It can send invalid requests, and counts as success only what was answered in full."""
