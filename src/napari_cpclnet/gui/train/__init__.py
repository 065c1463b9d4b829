"""Tab 'Train': let the network learn from phantoms and unlabelled scans."""
