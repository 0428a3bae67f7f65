"""The command line."""

from ap3.cli.main.main import main

__all__ = ["main"]
