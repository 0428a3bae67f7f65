"""The machine that a job runs on: processor, memory, terminal and log."""
