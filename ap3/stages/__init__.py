"""The stages of a study: files in, one call of the library, files out."""
