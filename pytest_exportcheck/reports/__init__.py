"""Reports: the texts and files that a user reads. They use records only."""
