"""What search is made of: words, segments, ranking, the files of knowledge bases."""
