"""Where a process waits that has imported the libraries, and forks for stages."""

PLACE = "AP3_WARM"
"""The environment variable that names its socket; set and empty, nobody asks for one."""
