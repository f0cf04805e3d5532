"""Where people already are: one module for each library, imported only when asked for."""
