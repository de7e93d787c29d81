"""A plug-in for Kedge: each of its kinds in a module of its own, which is imported when it is asked for."""
