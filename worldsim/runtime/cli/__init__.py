"""The commands that play without a window: replay and rollout."""
