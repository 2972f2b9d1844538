"""Hides phone numbers, e-mail addresses and ids in what people say. Pure: see `redactor`."""
