"""Batch work: the main job and its steps, in-process or in a process pool."""
