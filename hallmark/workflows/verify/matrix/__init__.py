"""What `hallmark verify` looks at in the folder of a matrix: its journal, every cell that counts, its report and certificate."""
