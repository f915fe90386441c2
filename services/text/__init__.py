"""From extracted text to chunks: lines, headings, tables, running heads, cuts."""
