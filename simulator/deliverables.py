"""What the simulated generator hands in: a page of Markdown and, where a tool was asked for, a program that works."""

from __future__ import annotations

import re
from collections.abc import Sequence

from simulator.standards import passage, wants_tool

_COUNTING = re.compile(r"\b(?:words?|count|counts|text|texts|log|logs|lines)\b", re.I)
_TODO = re.compile(r"\b(?:to.?dos?|tasks?)\b", re.I)
_LONGEST_TITLE = 80

_PLACEHOLDER = (
    "This is where a model's own text would stand. The simulator knows nothing about the subject, so it only shows "
    "the shape such a text would have: the conclusion first, then the two or three reasons that carry it, then what "
    "speaks against it and why that weighs less, and last what a reader should do next."
)

TODO_PROGRAM = '''\
"""A to-do list in one file: add, list, done."""

import argparse
import json
import sys
from pathlib import Path

STORE = Path("todo.json")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("add").add_argument("title")
    commands.add_parser("list")
    commands.add_parser("done").add_argument("number", type=int)
    options = parser.parse_args()
    items = json.loads(STORE.read_text()) if STORE.exists() else []
    if options.command == "add":
        items.append({"title": options.title, "done": False})
    elif options.command == "done":
        if not 1 <= options.number <= len(items):
            print(f"There is no item {options.number}.", file=sys.stderr)
            return 1
        items[options.number - 1]["done"] = True
    STORE.write_text(json.dumps(items, indent=1))
    for number, item in enumerate(items, 1):
        print(f"{number}. [{'x' if item['done'] else ' '}] {item['title']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
'''

COUNT_PROGRAM = '''\
"""The most frequent words of a text file."""

import argparse
import re
import sys
from collections import Counter
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--top", type=int, default=10)
    options = parser.parse_args()
    try:
        text = options.file.read_text()
    except OSError as error:
        print(f"Cannot read {options.file}: {error.strerror}", file=sys.stderr)
        return 1
    for word, times in Counter(re.findall(r"\\w+", text.lower())).most_common(options.top):
        print(f"{times:6} {word}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
'''


def deliverable(task: str, criteria: Sequence[tuple[str, str]], feedback: Sequence[str]) -> str:
    """A page with a section for each criterion (id, statement), and one that answers the feedback if there is any."""
    title = " ".join(task.split())
    title = title if len(title) <= _LONGEST_TITLE else title[:_LONGEST_TITLE].rsplit(" ", 1)[0] + " …"
    parts = [f"# {title}", "This page delivers what was asked and shows, criterion by criterion, where to look."]
    parts += [f"## {key}: {statement}\n\n{passage(n, statement)}" for n, (key, statement) in enumerate(criteria)]
    if wants_tool(task):
        name, example, program = _program(task)
        parts.append(f"## The program\n\nSave it as `{name}` and start with `{example}`.\n\n```python\n{program}```")
    else:
        parts.append(
            f"## The text\n\nIn short: {title.rstrip('.')} – that can be done, and it is done here.\n\n{_PLACEHOLDER}"
        )
    if feedback:
        answers = (f"{number}. {point}\n   Done: changed as asked." for number, point in enumerate(feedback, 1))
        parts.append("## Revision\n\nWhat the last round found, and what became of it:\n\n" + "\n".join(answers))
    parts.append("## Assumptions\n\nOne person uses it, on one machine, and what the task leaves open stays simple.")
    return "\n\n".join(parts) + "\n"


def _program(task: str) -> tuple[str, str, str]:
    """File name, first command and text of the program that comes nearest to the task."""
    if _COUNTING.search(task) and not _TODO.search(task):
        return "count.py", "python count.py notes.txt --top 5", COUNT_PROGRAM
    return "todo.py", 'python todo.py add "water the plants"', TODO_PROGRAM
