"""Keys: made, read, and what they make of an envelope. The only place of securesystemslib, which is an extra."""
