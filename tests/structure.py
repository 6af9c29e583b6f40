"""`make structure`: the shape of the code, counted from its imports.

A room is a folder of a package or a module beside those, an arrow an import of one room by another, a floor the longest way
down by arrows, a circle a set of rooms that import each other. A stay is a function that is handed a given thing.
"""

import argparse
import ast
import graphlib
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
LINES, FUNCTION_LINES = 400, 50  # of a file, of a function: the most


def name_of(path, source=SOURCE):
    """nqsbench.plan.config of a file, nqsbench.plan of its __init__."""
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


def modules(source=SOURCE):
    """{name: syntax tree} of all modules."""
    return {name_of(path, source): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(source.rglob("*.py"))}


def imported(tree):
    """All names that a module imports anywhere, those taken out of a module with its name before."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(trees):
    """{room: rooms that it imports}; a package counts where something of its own is taken."""
    found = {}
    for name, tree in trees.items():
        names = set(imported(tree))
        taken = {inner.rpartition(".")[0] for inner in names if inner in trees}  # packages of which a module is taken
        found[name] = {room for room in names if room in trees and room not in taken} - {name}
    return found


def folders(graph):
    """The graph of folders: nqsbench.plan.config is a part of nqsbench.plan."""
    room = lambda name: ".".join(name.split(".")[:2])
    found = {room(name): set() for name in graph}
    for name, below in graph.items():
        found[room(name)] |= {room(other) for other in below} - {room(name)}
    return found


def circles(graph):
    """One set of rooms that import each other, or None."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def floors(graph):
    """{room: how many arrows lead down from it at most}; without circles."""
    height = {}
    for room in graphlib.TopologicalSorter(graph).static_order():
        height[room] = 1 + max((height[below] for below in graph[room]), default=-1)
    return height


def functions(trees):
    """(module, function) of all functions."""
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield name, node


def lines(node):
    """Lines of a function."""
    return node.end_lineno - node.lineno + 1


def stays(trees, thing):
    """{room: number of its functions that are handed a thing by this name}."""
    handed = lambda node: any(argument.arg == thing for argument in (*node.args.args, *node.args.kwonlyargs))
    return Counter(name for name, node in functions(trees) if handed(node))


def report(source, package):
    """All counts of a package as lines."""
    trees = {name: tree for name, tree in modules(source).items() if name.split(".")[0] == package}
    graph = arrows(trees)
    circle = circles(graph)
    for level, of in (("rooms", folders(graph)), ("modules", graph)):
        circle = circles(of)
        order = f"circle: {' -> '.join(circle)}" if circle else f"{1 + max(floors(of).values())} floors, no circle"
        yield f"{package}: {len(of)} {level}, {sum(map(len, of.values()))} arrows, {order}"
    for thing in ("point", "experiment"):
        found = stays(trees, thing)
        yield f"  stays of a thing named {thing}: {sum(found.values())} functions of {len(found)} modules"
    files = {name: len((source / path).read_text(encoding="utf-8").splitlines()) for name, path in paths(source, trees)}
    longest = max((lines(node), f"{name}.{node.name}") for name, node in functions(trees))
    yield f"  {sum(files.values())} lines; longest file {max(files, key=files.get)}: {max(files.values())}"
    yield f"  longest function {longest[1]}: {longest[0]}"


def paths(source, names):
    """(module, file relative to source) of some modules."""
    named = {name_of(path, source): path.relative_to(source) for path in source.rglob("*.py")}
    return [(name, named[name]) for name in names]


def main():
    """Print the counts of both packages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, nargs="?", default=SOURCE, help="the folder src of another checkout")
    source = parser.parse_args().source
    for package in ("dysonnet", "nqsbench"):
        print(*report(source, package), sep="\n")


if __name__ == "__main__":
    main()
