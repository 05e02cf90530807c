"""The command line: one file a command; the only room that prints."""

from distill.cli.app import app, main

__all__ = ["app", "main"]
