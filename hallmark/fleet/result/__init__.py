"""What a matrix came to: its report, its certificate, and how matrices of several sites are joined. From their folders alone."""
