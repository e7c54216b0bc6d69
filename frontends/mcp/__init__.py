"""Tessera as tools of an assistant: a server of the Model Context Protocol over the public API.

The program that the assistant runs in starts `tessera mcp` and speaks with it over standard input and output, so
nothing else may be printed there. `server.py` declares the tools, `words.py` says what became of a job.
"""
