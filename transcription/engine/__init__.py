"""The embedded Whisper server: the process that the product keeps (`process`), the program that runs in it (`server`,
with `model`, `options` and `answers`), and its weights (`weights`, with their digests in `pins`).
"""
