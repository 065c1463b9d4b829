"""Session state: choices, classes, painted slices and results, in plain Python on a viewer model. No Qt."""
