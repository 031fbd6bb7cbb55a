"""What differs between installations: which packages there are, their faults, and what stands in for missing parts."""
