"""Floor 4: spec + machine -> LaunchPlan, and the testbed that applies it; the registry of models."""
