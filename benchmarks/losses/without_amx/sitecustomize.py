"""On the server's PYTHONPATH: has vLLM's CPU build leave AMX alone.

It takes AMX for bfloat16 where the processor names it, and dies of an illegal instruction on a virtual machine that names it
and forbids it. Elsewhere this costs speed only.
"""

import torch

torch.cpu._is_amx_tile_supported = lambda: False  # noqa: SLF001 - torch has no other switch
