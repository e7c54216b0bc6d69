"""Tessera worker agent."""
