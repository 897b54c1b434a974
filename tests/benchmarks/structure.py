"""The shape of the code in numbers: `python structure.py [TREE]...`, one column for each tree.

TREE is a checkout, by default the one that holds this script. Two trees are compared side by side:

    git worktree add ../before COMMIT
    python tests/benchmarks/structure.py ../before .

Only the standard library is used, so that it runs on any checkout with any Python from 3.11 on.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = "textclf"
ROOT_MODULES = "(root)"
"""The name under which modules directly in textclf/ are listed."""
QUESTIONS = ("What", "Whether", "Those", "How", "Where", "Who", "Which", "When", "Why", "That")
"""First words of docstrings that must be read twice."""
VERBS = frozenset(
    re.findall(
        r"\w+",
        """
    Accept Add Adopt Align Append Apply Ask Assemble Average Begin Bind Bring Build Calculate Call Capture
    Carry Cast Catch Change Check Choose Classify Clean Clear Close Collect Combine Compare Compile Complete
    Compress Compute Concatenate Configure Connect Convert Copy Count Create Cut Decide Declare Decode Delete
    Describe Digest Divide Download Draw Drop Emit Empty Encode End Ensure Estimate Evaluate Exit Expand
    Explain Export Extract Fail Fetch Fill Filter Find Finish Fit Flush Fold Follow Forget Format Free Gather
    Generate Get Give Group Guess Handle Has Hash Hide Hold Import Include Infer Initialize Insert Install
    Interpret Iterate Join Keep Label Lay Learn Leave Let List Load Lock Log Look Make Map Mark Match Measure
    Merge Move Name Normalize Note Offer Open Order Pack Pad Pair Parse Pass Pick Place Plan Point Predict
    Prepare Print Process Prune Put Quantize Raise Rank Read Record Recover Redirect Redraw Refuse Register
    Release Remember Remove Rename Render Repeat Replace Report Resample Reset Resolve Restore Resume Return
    Rewrite Round Run Sample Save Scale Score Search Select Send Set Share Show Shrink Shuffle Silence Skip
    Sort Split Start State Stop Store Stream Strip Subtract Suggest Sum Summarize Swap Switch Take Tell Test
    Time Tokenize Track Train Transform Translate Trim Truncate Try Tune Turn Undo Unpack Update Use Validate
    Verify Visit Wait Walk Warn Watch Weigh Wrap Write Yield
    """,
    )
)
"""First words by which a docstring is counted as one that opens with a verb; extend the list when a verb is missing."""
LONGEST = 5
FIRST_WORDS = 12

Definition = ast.FunctionDef | ast.AsyncFunctionDef
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Function:
    """A function or method."""

    name: str
    """Module, class and function, with dots."""
    body_lines: int
    """Lines of code after its docstring."""


@dataclass(frozen=True)
class Module:
    """A file of the package, as far as its structure goes."""

    name: str
    """Dotted, without `textclf.`."""
    package: str
    code_lines: int
    functions: tuple[Function, ...]
    imports: frozenset[str]
    """Modules of textclf that it imports, anywhere in it; dotted, without `textclf.`."""
    any_uses: int
    """Uses of typing.Any, its import not counted."""
    docstrings: tuple[tuple[str, str], ...]
    """Kind (module, class or function) and first word of each docstring."""


def read_tree(tree: Path) -> list[Module]:
    """Return the modules of a checkout, `__init__.py` files included."""
    folder = tree / PACKAGE
    paths = sorted(folder.rglob("*.py"))
    if not paths:
        sys.exit(f"{folder} has no modules; name a checkout of textclf.")
    names = {path: ".".join(path.relative_to(folder).with_suffix("").parts) for path in paths}
    return [read_module(path, name, set(names.values())) for path, name in names.items()]


def read_module(path: Path, name: str, known: set[str]) -> Module:
    """Return what one file holds; `known` are the names of all modules."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = code_lines(text, tree)
    return Module(
        name=name,
        package=name.partition(".")[0] if "." in name else ROOT_MODULES,
        code_lines=len(lines),
        functions=tuple(functions(tree, name, lines)),
        imports=frozenset(imported_modules(tree, known) - {name}),
        any_uses=sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(tree)),
        docstrings=tuple(docstrings(tree)),
    )


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that are not blank, not a comment, and not a docstring of anything.

    Strings that stand alone below a field or a constant are docstrings too.
    """
    documentation: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            documentation.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    numbered = enumerate(text.split("\n"), start=1)
    return {n for n, line in numbered if line.strip() and not line.strip().startswith("#")} - documentation


def functions(node: ast.AST, name: str, lines: set[int]) -> Iterator[Function]:
    """Yield every function below a node, nested ones too; a nested one also counts in the function around it."""
    for child in ast.iter_child_nodes(node):
        inner = f"{name}.{child.name}" if isinstance(child, Definition | ast.ClassDef) else name
        if isinstance(child, Definition):
            first, last = child.body[0].lineno, child.end_lineno or child.lineno
            yield Function(inner, len(lines & set(range(first, last + 1))))
        yield from functions(child, inner, lines)


def imported_modules(tree: ast.Module, known: set[str]) -> set[str]:
    """Return the modules of textclf that are imported in the tree: `from textclf.io import files` is `io.files`."""
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            module = node.module.partition(".")[2]
            candidates = [f"{module}.{alias.name}".strip(".") for alias in node.names]
            imported |= {candidate if candidate in known else module for candidate in candidates}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith(f"{PACKAGE}.")]
            imported |= {name.partition(".")[2] for name in names}
    return imported & known


def docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield kind and first word of the docstrings of the module, its classes and its functions."""
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
        if text and text.strip():
            kind = {ast.Module: "module", ast.ClassDef: "class"}.get(type(node), "function")
            yield kind, text.split()[0].strip("`\"'.,:;")


def percentile(values: Sequence[int], share: float) -> int:
    """Return the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def is_third_person(word: str) -> bool:
    """Tell whether a word is one of VERBS with an s, such as Returns, Passes and Carries."""
    stems = {word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("ies") + "y"}
    return word.endswith("s") and word not in VERBS and bool(stems & VERBS)


def measurements(modules: list[Module]) -> dict[str, str]:
    """Return the figures of a tree as text, by what they are figures of."""
    sizes = [module.code_lines for module in modules]
    bodies = [function.body_lines for module in modules for function in module.functions]
    opening = Counter(word for module in modules for _, word in module.docstrings)
    of_functions = [word for module in modules for kind, word in module.docstrings if kind == "function"]
    questions = sum(opening[word] for word in QUESTIONS)
    imperative = sum(word in VERBS for word in of_functions)
    third_person = sum(map(is_third_person, of_functions))
    return {
        "packages": f"{len({module.package for module in modules} - {ROOT_MODULES})}",
        "modules": f"{len(modules)}",
        "lines of code": f"{sum(sizes):,}",
        "lines of code in a module: median, largest": f"{statistics.median(sizes):.0f}, {max(sizes)}",
        "functions": f"{len(bodies):,}",
        "lines in a function's body: median": f"{statistics.median(bodies):.0f}",
        "lines in a function's body: 90th percentile": f"{percentile(bodies, 0.9)}",
        "functions with 30 lines or more": f"{sum(body >= 30 for body in bodies)}",
        "imports between modules": f"{sum(len(module.imports) for module in modules)}",
        "uses of Any": f"{sum(module.any_uses for module in modules)}",
        "docstrings": f"{opening.total()}",
        "docstrings opening with a question word": with_share(questions, opening.total()),
        "docstrings of functions": f"{len(of_functions)}",
        "opening with an imperative verb": with_share(imperative, len(of_functions)),
        "opening with a verb and an s": with_share(third_person, len(of_functions)),
    }


def with_share(count: int, total: int) -> str:
    """Return a count with its share of the total in percent."""
    return f"{count} ({count / total:.0%})" if total else "0"


def longest_functions(modules: list[Module]) -> list[str]:
    """Return the functions with the longest bodies, each as lines and name."""
    every = [function for module in modules for function in module.functions]
    ordered = sorted(every, key=lambda function: (-function.body_lines, function.name))
    return [f"{function.body_lines} {function.name}" for function in ordered[:LONGEST]]


def first_words(modules: list[Module]) -> list[str]:
    """Return the most frequent first words of docstrings, each as count and word."""
    words = Counter(word for module in modules for _, word in module.docstrings)
    return [
        f"{count} {word}" for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:FIRST_WORDS]
    ]


def package_rows(modules: list[Module]) -> list[tuple[str, ...]]:
    """Return a row for each package: name, modules, lines of code, and how many imports go to which other package."""
    package_of = {module.name: module.package for module in modules}
    rows: list[tuple[str, ...]] = [("package", "modules", "lines", "imports from other packages")]
    for package in sorted(set(package_of.values())):
        own = [module for module in modules if module.package == package]
        imports = Counter(package_of[name] for module in own for name in module.imports)
        del imports[package]
        listed = ", ".join(f"{name} {count}" for name, count in sorted(imports.items()))
        rows.append((package, f"{len(own)}", f"{sum(module.code_lines for module in own):,}", listed or "none"))
    return rows


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return the rows as lines of text with aligned columns."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def comparison(names: Sequence[str], trees: Sequence[list[Module]]) -> str:
    """Return the whole text that is printed: one column for each tree, then the packages of each."""
    columns = [measurements(modules) for modules in trees]
    sections = [table([("", *names), *((key, *(column[key] for column in columns)) for key in columns[0])])]
    for title, lists in (
        ("longest functions, in lines", [longest_functions(modules) for modules in trees]),
        ("first words of docstrings", [first_words(modules) for modules in trees]),
    ):
        sections.append(f"{title}\n" + table([names, *zip(*lists, strict=True)]))
    for name, modules in zip(names, trees, strict=True):
        sections.append(f"packages of {name}\n" + table(package_rows(modules)))
    return "\n".join(sections)


def main() -> None:
    arguments = sys.argv[1:] or [str(ROOT)]
    sys.stdout.write(comparison(arguments, [read_tree(Path(argument)) for argument in arguments]))


if __name__ == "__main__":
    main()
