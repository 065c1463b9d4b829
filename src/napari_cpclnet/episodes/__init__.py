"""What the network is trained on: phantoms and scans with random appearance, and slices drawn from them as episodes."""
