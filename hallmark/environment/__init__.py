"""Floor 2: facts about a machine, what a cell demands of it, and how its environments are built.

Nothing is imported here: `provision` must load before anything is installed, and `facts` runs under strange interpreters.
"""
