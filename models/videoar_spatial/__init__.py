"""VideoAR with a memory in space: its first scales are told what memory shows of the frame."""
