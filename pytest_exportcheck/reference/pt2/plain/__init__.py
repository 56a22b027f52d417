"""Plain values: what they are, how they are named, how they differ, and what users register."""
