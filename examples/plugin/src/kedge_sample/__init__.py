"""A plug-in for Kedge: each of its kinds in a module of its own, which is imported when it is asked for."""

from pathlib import Path

from kedge import make_translator

_ = make_translator("kedge_sample", Path(__file__).parent / "locales")
