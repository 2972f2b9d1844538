"""The store in a PostgreSQL database, which many accounts may share."""
