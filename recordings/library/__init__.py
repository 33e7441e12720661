"""A person's library: which recordings there are, which text of each is shown, and where a word was said."""
