"""Tab 'Train': trains the network on phantoms and scans."""
