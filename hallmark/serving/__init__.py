"""Floor 4: spec + machine -> launch plan -> running server. Each way of having a server is a folder in here."""
