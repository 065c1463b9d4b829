"""Version of the package, for those who stand below its public names."""

__version__ = "0.1.0"
