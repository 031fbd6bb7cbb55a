"""What the results on the pages were measured with beyond the package; no part of the distribution."""
