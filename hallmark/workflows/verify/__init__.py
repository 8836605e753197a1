"""What `hallmark verify` is made of: a run's folder as it lies there, and the looks that are taken at it, a file each."""
