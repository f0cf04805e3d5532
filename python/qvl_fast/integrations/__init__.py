"""Where people already are: other libraries' interfaces over this package. Nothing is imported."""
