"""Wire formats, one file each: pure functions from events to bytes. They know neither Flask nor each other."""
