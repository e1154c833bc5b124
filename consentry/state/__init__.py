"""A subject's state and the fold that makes it. Pure."""
