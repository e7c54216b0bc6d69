"""How people reach Tessera."""
