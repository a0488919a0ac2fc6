"""What a video does not tell and a world needs: which actions were taken, where the camera was."""
