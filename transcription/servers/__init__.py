"""How Whisper servers differ: how each wants to be asked (`dialect`), what is known of it (`acquaintance`), and the
meaning of its answers (`refusal`, `salvage`). `inspection` looks at a server from outside the product.
"""
