"""VideoAR: next-frame and next-scale prediction, a dynamics that samples labels coarse to fine."""
