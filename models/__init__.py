"""What there is: events, turns, tables, model providers and the vector store."""
