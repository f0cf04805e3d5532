"""Videos: what is known of them, and the frames that are asked for."""
