"""What can go wrong with a store as a whole."""


class StoreError(Exception):
    """A folder of shards cannot be written or read; the message says which and why."""
