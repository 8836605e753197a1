"""The image's entrypoint as a program: `python3 /opt/engine/start.py [vLLM's own flags]`."""

import sys

from hallmark_engine.main import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
