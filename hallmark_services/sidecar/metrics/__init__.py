"""Pure functions from an engine's exposition to the fleet's: no network, no clock, no object per sample."""
