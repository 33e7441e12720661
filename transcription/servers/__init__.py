"""How Whisper servers differ: how each wants to be asked (`dialect`), what is known of it (`profile`), and the
meaning of its answers (`refusal`, `salvage`). `inspection` looks at a server from outside the product.
"""
