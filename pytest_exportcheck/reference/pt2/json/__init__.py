"""JSON of the schema: encoded, read fast or strictly, and checked against the structures."""
