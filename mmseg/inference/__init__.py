"""A trained network made ready for inference: fused, which is exact and faster."""
