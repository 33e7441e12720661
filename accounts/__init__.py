"""People: sign-in, sessions, tokens and their scopes, and the rights of open sockets."""
