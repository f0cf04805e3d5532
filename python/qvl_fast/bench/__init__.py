"""The measuring behind ``qvl-fast bench`` and ``benches/``."""
