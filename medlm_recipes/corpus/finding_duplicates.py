"""Duplicates among all documents of a corpus: read into parts, compare, and write what is left of each part."""
