"""Pictures beside the frame: pickers, previews, ground truth, memory."""
