"""Runs one program apart from us and says what happened. Standard library only."""
