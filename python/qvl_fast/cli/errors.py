"""What can go wrong with a command as a whole."""


class CommandError(Exception):
    """The command cannot go on; the message is for the user."""
