"""The one exception that a user sees."""


class UserError(Exception):
    """The user's data, file or config is at fault, and the message says where, what was found and what to do.

    The command line prints the message without a traceback and exits with 1. Anything else that is raised is a
    bug of ours and keeps its traceback.

    Args:
        lines: of the message; a line end within one is the user's, and is not obeyed on a terminal.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
