"""Floor 4: accuracy. lm-eval behind an adapter of its own process, and the judgement of its scores."""
