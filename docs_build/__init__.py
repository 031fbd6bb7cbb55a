"""What the documentation site has beyond the pages in ``docs``: hooks of MkDocs, called by ``make docs``."""
