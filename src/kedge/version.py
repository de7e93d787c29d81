"""The one place where Kedge's own version is written."""

__version__ = "0.1.0"
