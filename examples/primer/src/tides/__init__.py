"""When the water is high: an example of a repository that starts itself."""
