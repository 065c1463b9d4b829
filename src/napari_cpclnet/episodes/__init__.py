"""Where training episodes and the demo come from: phantoms, their appearance, and the sampling of slices."""
