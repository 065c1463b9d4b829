"""Going through the slices to review of all scans."""
