"""What runs first in the engine image: settings, hardware, vLLM, the gateway, sshd. Standard library only, Python 3.10+.

It knows neither hallmark nor vLLM as a library: both are commands to it.
"""
