"""The page: a process of its own that looks at a run through its control endpoint, and serves what browsers show."""
