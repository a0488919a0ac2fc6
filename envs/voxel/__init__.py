"""A land of blocks, drawn by the voxel engine Luanti, as a Gymnasium environment."""
