"""The certificate of a matrix: one statement about every cell of its plan, and about the runs that say what those are."""
