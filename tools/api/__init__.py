"""Remote tools over HTTP."""
