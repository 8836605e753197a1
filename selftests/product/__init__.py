"""Tests of what strangers use: the wheel and the examples, each installed into an environment of its own."""
