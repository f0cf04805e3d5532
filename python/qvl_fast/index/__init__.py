"""Index tensors: what the vision tower and the language model know of grids and of the prompt."""
