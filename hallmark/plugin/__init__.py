"""Floor 6: pytest. Options, markers, cells, fixtures, the recorder. The only package that imports pytest."""
