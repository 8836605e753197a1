"""hallmark decides whether a served LLM is fit to release on a given device."""

__version__ = "0.1.0"
