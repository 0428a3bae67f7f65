"""The workflow's door to the library: settings, and digests of what results are made from."""
