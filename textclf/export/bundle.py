"""A module of textclf as one file: its definitions, and those of other modules that they need, as they stand there."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent


class Import(NamedTuple):
    """Where a name comes from."""

    module: str
    name: str
    """Empty where it is the module itself."""
    known_as: str


@dataclass(frozen=True)
class Statement:
    """A definition at the top of a module."""

    source: str
    """With the comments above it."""
    names: set[str]
    """What it defines."""
    uses: set[str]


@dataclass(frozen=True)
class Module:
    docstring: str
    imports: dict[str, Import]
    """By the name that they have here."""
    statements: list[Statement]


def bundle(root: str, *, first: str = "") -> str:
    """The source of a file that does what the module does, and imports nothing of textclf.

    Args:
        first: what is to be done before anything is imported.
    """
    modules = _modules(root)
    reached = _reached(modules, root)
    kept = [
        statement
        for name, module in modules.items()
        for statement in module.statements
        if any((name, defined) in reached for defined in statement.names)
    ]
    imports = {modules[name].imports[used] for name, used in reached if used in modules[name].imports}
    _check_names(kept, imports)
    docstring = f'"""{modules[root].docstring}"""'
    head = [part for part in (docstring, first, "\n".join(_import_lines(imports))) if part]
    sources = dict.fromkeys(statement.source for statement in kept)
    return "\n\n".join(head) + "\n" + "".join(f"\n\n{source}\n" for source in sources)


def _check_names(kept: list[Statement], imports: set[Import]) -> None:
    """Fails where one name stands for two things, which a file of its own cannot have."""
    meant = {(name, statement.source) for statement in kept for name in statement.names}
    meant |= {(found.known_as, f"{found.module}.{found.name}") for found in imports}
    twice = sorted(name for name, times in Counter(name for name, _ in meant).items() if times > 1)
    if twice:
        raise ValueError(f"modules that are bundled use these names for different things: {', '.join(twice)}")


def _modules(root: str) -> dict[str, Module]:
    """The module and all of textclf that it imports, in an order in which each comes after those that it imports."""
    modules: dict[str, Module] = {}
    wanted = [root]
    while wanted:
        name = wanted.pop()
        if name not in modules:
            modules[name] = read_module(PACKAGE / f"{name}.py")
            wanted += _own_imports(modules[name])
    order = TopologicalSorter({name: _own_imports(module) for name, module in modules.items()})
    return {name: modules[name] for name in order.static_order()}


def _own_imports(module: Module) -> list[str]:
    return sorted({_own_module(found) for found in module.imports.values()} - {""})


def _own_module(found: Import) -> str:
    """Which module of textclf it is from; empty where it is from elsewhere."""
    package, _, module = found.module.partition(".")
    return (module or "__init__") if package == PACKAGE.name else ""


def _reached(modules: dict[str, Module], root: str) -> set[tuple[str, str]]:
    """Each module and name that the definitions of the root need, directly or not."""
    wanted = [(root, name) for statement in modules[root].statements for name in statement.names]
    reached = set()
    while wanted:
        module, name = wanted.pop()
        found = modules[module].imports.get(name)
        if found and _own_module(found):
            wanted.append((_own_module(found), found.name))
        elif (module, name) not in reached:
            reached.add((module, name))
            definitions = [statement for statement in modules[module].statements if name in statement.names]
            wanted += [(module, used) for statement in definitions for used in statement.uses]
    return reached


def _import_lines(imports: set[Import]) -> Iterator[str]:
    """Whole modules first, then names of modules, those of one module on one line."""
    yield from sorted(f"import {found.module}{_renamed(found)}" for found in imports if not found.name)
    names = sorted(found for found in imports if found.name)
    for module, group in groupby(names, key=lambda found: found.module):
        yield f"from {module} import {', '.join(found.name + _renamed(found) for found in group)}"


def _renamed(found: Import) -> str:
    return "" if found.known_as == (found.name or found.module) else f" as {found.known_as}"


def read_module(path: Path) -> Module:
    """What stands at the top of a module."""
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    imports = {found.known_as: found for node in tree.body for found in _imports(node)}
    statements = [_statement(node, lines) for node in tree.body if _names(node)]
    return Module(ast.get_docstring(tree) or "", imports, statements)


def _imports(node: ast.stmt) -> list[Import]:
    if isinstance(node, ast.Import):
        return [Import(alias.name, "", alias.asname or alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [Import(node.module, alias.name, alias.asname or alias.name) for alias in node.names]
    return []


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}


def _statement(node: ast.stmt, lines: list[str]) -> Statement:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    while lines[first - 1].startswith("#"):
        first -= 1
    uses = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    return Statement("\n".join(lines[first : node.end_lineno]), _names(node), uses)
