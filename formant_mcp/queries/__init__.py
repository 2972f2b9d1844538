"""Questions: their words read into filters, what they need brought, their answers out of the store."""
