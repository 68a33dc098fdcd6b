"""Reports as people read them: on a terminal and as one HTML page."""
