"""What workers compute: jobs frozen in the GUI thread, and the reports they yield. No Qt."""
