"""Floor 1: errors, verdicts, records, processes, settings and redaction. Imports nothing above it."""
