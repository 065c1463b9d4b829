"""What the user has chosen and what came of it, in plain Python on a viewer model. No Qt."""
