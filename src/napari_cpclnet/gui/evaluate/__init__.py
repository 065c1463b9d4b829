"""Tab 'Evaluate': measures the network on scans whose ground truth is known."""
