"""Read configs written for MMSegmentation 0.x and 1.x."""
