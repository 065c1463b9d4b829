"""Jobs for worker threads: frozen in the GUI thread, and the reports they yield. No Qt."""
