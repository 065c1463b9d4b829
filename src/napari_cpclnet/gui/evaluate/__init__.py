"""Tab 'Evaluate': how good the network is on scans whose truth is known."""
