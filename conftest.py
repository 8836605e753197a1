"""Loads hallmark's plugin in a checkout that is not installed, too."""

pytest_plugins = ["hallmark.plugin.plugin"]
