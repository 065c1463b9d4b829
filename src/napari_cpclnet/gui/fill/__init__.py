"""*Fill between slices*: tick box, controller, preview, and acceptance as paint."""
