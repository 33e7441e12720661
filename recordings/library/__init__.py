"""A person's library: recordings found, with the text of each that is shown; changed, and deleted."""
