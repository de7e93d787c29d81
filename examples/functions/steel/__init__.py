"""Rolled steel profiles."""
