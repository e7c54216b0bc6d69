"""Drives a real ComfyUI."""
