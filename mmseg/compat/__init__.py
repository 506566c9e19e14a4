"""Read configs written for MMSegmentation 0.x and 1.x and for earlier versions of this project."""
