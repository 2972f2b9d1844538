"""The command line: its commands and options, and what is said where it cannot be understood."""
