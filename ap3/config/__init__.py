"""What a study says: its schema, its names and seeds, and the user's own code in it."""
