"""The wiring: settings, URLs, the ASGI application, checks. No behaviour of the product is here."""
