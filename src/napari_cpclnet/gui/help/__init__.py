"""Tab 'Help': what to do first, the shortcuts, the words."""
