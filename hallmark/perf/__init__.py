"""Floor 4: a closed-loop streaming load generator, what it measured, and how that is held against a spec's targets."""
