"""The HTTP ground that knows no business: what a connection, a header or an address may be, how long a client may stay
silent, and how often one log line is written. It imports nothing of the product's other packages.
"""
