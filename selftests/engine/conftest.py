"""The image's own package is no part of hallmark: it is found in engine/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "engine"))
