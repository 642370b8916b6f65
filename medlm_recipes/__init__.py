"""Training recipes for biomedical language models, from PubMed text to a scored, exportable model.

Importing this package imports nothing heavy; each stage imports what it needs when it runs.
"""

__version__ = "0.1.0"
