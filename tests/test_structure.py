"""The figures that structure.py prints of a tree."""

import sys
from pathlib import Path

from conftest import ROOT

sys.path.append(str(ROOT / "tests" / "benchmarks"))

from structure import comparison, read_tree

SMALL = {
    "__init__.py": '"""A package."""\n',
    "errors.py": '"""The exception."""\n\n\nclass Error(Exception):\n    """A mistake of the user."""\n',
    "io/files.py": '''"""Files."""

from typing import Any

from textclf.errors import Error
from textclf import errors

LIMIT = 1
"""A documented constant."""


def read(path: Any) -> Any:
    """Return the content.

    Of any file.
    """
    # a comment
    def inner() -> int:
        """What it is."""
        return LIMIT

    return path, inner, errors, Error
''',
}
PRINTED = """\
                                             new
packages                                     1
modules                                      3
lines of code                                9
lines of code in a module: median, largest   1, 8
functions                                    2
lines in a function's body: median           2
lines in a function's body: 90th percentile  3
functions with 30 lines or more              0
imports between modules                      1
uses of Any                                  2
docstrings                                   6
docstrings opening with a question word      1 (17%)
docstrings of functions                      2
opening with an imperative verb              1 (50%)
opening with a verb and an s                 0 (0%)

longest functions, in lines
new
3 io.files.read
1 io.files.read.inner

first words of docstrings
new
2 A
1 Files
1 Return
1 The
1 What

packages of new
package  modules  lines  imports from other packages
(root)   2        1      none
io       1        8      (root) 1
"""


def test_a_small_tree_is_counted(tmp_path: Path) -> None:
    for name, text in SMALL.items():
        path = tmp_path / "textclf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert comparison(["new"], [read_tree(tmp_path)]) == PRINTED
