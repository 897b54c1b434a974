"""The source of the packages that prediction needs, so that a copy under another name works without textclf."""

import re
from pathlib import Path

TEXTCLF = Path(__file__).parent.parent

COPIED = {"__init__.py", "errors.py", "options.py", "io", "data", "text", "models", "inference"}
"""The modules and packages of textclf in a copy: inference and all that it may import."""

_IMPORT = re.compile(r"^( *from )textclf(?:\.|(?= import ))", re.MULTILINE)


def standalone_files() -> dict[str, bytes]:
    """Return the content of each file of a copy, by its path in the package that it becomes."""
    modules = [module.relative_to(TEXTCLF) for module in sorted(TEXTCLF.rglob("*.py"))]
    return {
        path.as_posix(): with_relative_imports(TEXTCLF / path, "." * len(path.parts))
        for path in modules
        if path.parts[0] in COPIED
    }


def with_relative_imports(module: Path, textclf: str) -> bytes:
    """Return the source of a module with relative imports, so that it never imports an installed textclf.

    Args:
        textclf: what the name textclf becomes, such as `..`.
    """
    return _IMPORT.sub(rf"\1{textclf}", module.read_text(encoding="utf-8")).encode()
