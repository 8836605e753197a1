"""`hallmark init`: a spec of the user's own model, made from what its server and its weights say."""
