"""What `hallmark matrix` is made of: which cells are meant, where they are run, the plan, and the session that runs them."""
