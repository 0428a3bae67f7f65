"""How long a study will take on this machine, timed before it starts."""
