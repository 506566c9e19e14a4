"""Pixels in and out: images, masks, tiles, rasters and pictures."""
