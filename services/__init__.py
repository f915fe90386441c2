"""What is done: turns, documents, retrieval, images, audio."""
