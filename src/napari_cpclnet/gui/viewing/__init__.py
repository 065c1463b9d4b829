"""Viewing of scans and results: grey values, surfaces, planes."""
