"""`python -m hallmark` is the command line."""

from hallmark.cli import main

raise SystemExit(main())
