"""How pixels arrive: arrays and tensors, files, PIL images."""
