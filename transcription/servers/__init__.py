"""How Whisper servers differ: how to ask each (`dialect`), what is known of one (`profile`), and what its answers mean
(`refusal`, `salvage`). `inspection` looks at a server without giving it work.
"""
