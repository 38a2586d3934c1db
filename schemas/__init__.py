"""Say what a record is: JSON Schemas, the types derived from them, and what a schema cannot say."""
