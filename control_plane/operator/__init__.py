"""What an operator looks at (`tables`, `why`) and switches (`switches`), from the command line or over HTTP."""
