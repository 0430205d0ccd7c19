"""Fails if an #include in src/ points upward or sideways in cmake/layers.txt.

usage: check_includes.py <top of the tree>
"""

import pathlib
import re
import sys

SUFFIXES = {".hpp", ".cpp", ".def", ".h", ".c"}
QUOTED_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def read_steps(top):
    """The layers with the number of their line: {'base': 0, ..., 'rowstore': 5, 'colstore': 5}."""
    steps = {}
    lines = (top / "cmake" / "layers.txt").read_text().splitlines()
    for step, line in enumerate(line for line in lines if line.strip() and not line.startswith("#")):
        for layer in line.split():
            steps[layer] = step
    return steps


def layer_of(path, steps):
    """The layer that holds `path` (relative to src/), or None."""
    parts = path.split("/")
    for length in range(len(parts) - 1, 0, -1):
        layer = "/".join(parts[:length])
        if layer in steps:
            return layer
    return None


def problems_of(top):
    steps = read_steps(top)
    source = top / "src"
    for file in sorted(source.rglob("*")):
        if file.suffix not in SUFFIXES:
            continue
        path = file.relative_to(source).as_posix()
        layer = layer_of(path, steps)
        if layer is None:
            yield f"src/{path}: is in no layer of cmake/layers.txt"
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            match = QUOTED_INCLUDE.match(line)
            if not match:
                continue
            where = f'src/{path}:{number}: "{match[1]}"'
            target = layer_of(match[1], steps)
            if target is None:
                yield f"{where} is not written from src/ (other projects' headers go in <>)"
            elif not (source / match[1]).is_file():
                yield f"{where} does not exist"
            elif target != layer and steps[target] >= steps[layer]:
                direction = "sideways" if steps[target] == steps[layer] else "upward"
                yield f"{where} points {direction}: {layer} may not know {target}"


def main():
    problems = list(problems_of(pathlib.Path(sys.argv[1])))
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
