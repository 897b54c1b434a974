"""The one exception that a user sees, and its message for a lack of memory."""

import errno


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


# Messages of C++, ONNX Runtime, TensorFlow, CUDA, threads, the system and the linker, which raise no MemoryError
_OUT_OF_MEMORY = (
    "bad_alloc", "bad allocation", "failed to allocate memory", "out of memory", "out_of_memory",
    "oom when allocating", "dst tensor is not initialized", "can't start new thread", "failed to launch worker thread",
    "cannot allocate memory", "failed to map segment",
)  # fmt: skip


def says_out_of_memory(error: BaseException) -> bool:
    """Return True for an error by which Python, the system or a library says that memory is used up."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return _names_memory(str(error))


def _names_memory(text: str) -> bool:
    return any(phrase in text.lower() for phrase in _OUT_OF_MEMORY)


def out_of_memory(error: BaseException) -> UserError:
    """Return the error that a user sees for one that `says_out_of_memory`."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = next(filter(_names_memory, lines), lines[0])  # TensorFlow's message has many lines
    return UserError(
        f"out of memory ({reason:.200}).",
        "Allow more memory (a container and `ulimit -v` set limits too), or use less: fewer rows at once; in training "
        "a smaller training.batch_size, text.max_length or text.vocab_size.",
    )
