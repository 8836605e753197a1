"""The certificate of a run: what is stated of it, in the words of in-toto, and the files that state it."""
