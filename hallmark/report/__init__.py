"""Floor 5: from a run's records to a Report, and from a Report to pages. Runs nothing and measures nothing."""
