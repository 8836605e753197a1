"""As in lm-eval."""
