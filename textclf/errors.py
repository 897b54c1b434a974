"""The one exception that a user sees."""


class UserError(Exception):
    """A fault in the user's data, file or config; the message says where, what was found and what to do.

    The command line prints the message without a traceback and exits with 1. Any other exception is a bug of textclf
    and keeps its traceback.

    Args:
        lines: lines of the message; a line end within one is the user's, and a terminal shows it as U+FFFD.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
