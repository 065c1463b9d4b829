"""Widgets that several tabs use, and the worker that runs jobs in a thread."""
