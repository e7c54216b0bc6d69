"""Tessera control plane."""
