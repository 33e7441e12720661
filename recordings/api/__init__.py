"""What programs ask: the JSON API under /api (`routes`) and the OpenAI-compatible one under /v1 (`v1`), the shapes of
what they give, and their description (OpenAPI).
"""
