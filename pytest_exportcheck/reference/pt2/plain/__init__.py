"""Plain values: their forms, the names in them, their differences, and the extensions that users register."""
