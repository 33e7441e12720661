"""The source of the product, for tests that read it."""

import ast
import gc


def parsed(source: str) -> ast.Module:
    """The syntax tree of a Python source.

    No garbage is collected meanwhile: what that ends may log a traceback, which Python 3.11 parses sources for, and the
    parser does not bear being called amid its own work ("AST constructor recursion depth mismatch").
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if enabled:
            gc.enable()
