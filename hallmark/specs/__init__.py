"""Floor 2: what is to be certified. Model specs, the device catalogue, cells, and the checks that a spec demands."""
