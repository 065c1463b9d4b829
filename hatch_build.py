"""What the package's metadata says of where it is built: addresses of the project, and of the pictures in its README.

A fork, or this project under another roof, needs no change: hosted CI names the repository in its environment, and
elsewhere PROJECT_URL may do so. Without either the package has no addresses, and its README the links as they are.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s]+)\)")


class AddressesHook(MetadataHookInterface):
    """Sets ``urls`` and ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add what depends on the place to the metadata of ``pyproject.toml``."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        home = project_url()
        if home:
            metadata["urls"] = {
                "Homepage": home,
                "Documentation": f"{home}/blob/HEAD/docs/index.md",
                "Source": home,
                "Issues": f"{home}/issues",
                "Changelog": f"{home}/blob/HEAD/CHANGELOG.md",
            }
            text = LINK.sub(lambda match: f"]({absolute(match[1], home)})", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def project_url() -> str:
    """Address of the repository that this is built from, or nothing."""
    if os.environ.get("PROJECT_URL"):
        return os.environ["PROJECT_URL"].rstrip("/")
    server, name = (os.environ.get(key, "") for key in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    return f"{server}/{name}" if server and name else ""


def absolute(link: str, home: str) -> str:
    """A link of the README as it works anywhere: pictures as files, the rest as pages of the repository."""
    kind = "raw" if link.endswith((".png", ".gif", ".svg", ".webp")) else "blob"
    return f"{home}/{kind}/HEAD/{link}"
