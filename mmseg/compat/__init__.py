"""What exists only for files written for MMSegmentation 0.x and 1.x."""
