"""Many cells over many machines: what each one needs, where it is run, and what became of it.

The unit is one cell in one process (`hallmark run-cell`), which writes a folder; whoever places it, this machine or an engine
of a cluster, starts that command and no more. The folder lies where every node and the driver see it.
"""
