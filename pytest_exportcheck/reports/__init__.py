"""Reports: what a user reads. They see records only."""
