"""A session kept in a folder: what changed, what is saved, and how it comes back. No Qt."""
