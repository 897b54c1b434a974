"""The one exception that a user sees."""


class UserError(Exception):
    """The user's data, file or config is at fault, and the message says where, what was found and what to do.

    The command line prints the message without a traceback and exits with 1. Anything else that is raised is a
    bug of ours and keeps its traceback.
    """
