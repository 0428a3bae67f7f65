"""The command line."""

from ap3.cli.process import main

__all__ = ["main"]
