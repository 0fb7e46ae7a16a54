"""Execute chapters, put what they leave behind into one form, and say what is wrong with them.

    python tests/chapters/notebook.py chapters/*.ipynb      # in full, and write them back

A committed notebook holds the outputs of a full run without anything that differs between two
runs: no execution counts, no clocks, no finished progress bars. Its metadata holds a hash of its
code, so that code without its outputs is found.
"""

import argparse
import asyncio
import base64
import hashlib
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbclient
import nbformat

PNG_LIMIT, NOTEBOOK_LIMIT = 60 * 1024, 500 * 1024
SETUP = """\
# Where minigan is missing (Colab, Binder), install it from the repository around this notebook.
import importlib.util

if importlib.util.find_spec("minigan") is None:
    %pip install --quiet .."""
LAST_SECTIONS = ["What you can now do", "What to try", "Exercises", "Further reading"]
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
#: What differs between two machines or two runs, in what a cell has printed.
UNSTABLE = {
    "an address": r"\b0x[0-9a-f]{6,}",
    "a path": r"(?:/home/|/tmp/|/root/|/Users/|[A-Z]:\\)",
    "a learner's progress": r"(?m)^(?:  [✓✗~] \d\d\.\d|Go on:)",
    "a timing": r"\b\d+(?:\.\d+)? ?(?:ms|µs|seconds|s/it|it/s)\b",
}


def execute(notebook: Any, folder: Path, *, fast: bool) -> Any:
    """Run all cells in a new kernel that starts in ``folder``; raises where a cell does."""
    notebook = nbformat.from_dict(notebook)
    environment = {k: v for k, v in os.environ.items() if k != "MINIGAN_FAST"}
    environment |= {"MINIGAN_FAST": "1"} if fast else {}
    client = nbclient.NotebookClient(
        notebook, timeout=900, resources={"metadata": {"path": folder}}
    )
    asyncio.run(client.async_execute(env=environment))
    return notebook


def normalise(notebook: Any) -> Any:
    """The same notebook in the form in which it is committed."""
    metadata = METADATA | {"minigan": {"code_sha256": code_hash(notebook)}}
    cells, ids = [], set()
    for cell in notebook["cells"]:
        name = hashlib.sha256(cell["source"].encode()).hexdigest()[:8]
        while name in ids:
            name += "-"
        ids.add(name)
        new = {"id": name, "cell_type": cell["cell_type"], "metadata": {}, "source": cell["source"]}
        if cell["cell_type"] == "code":
            new |= {"execution_count": None, "outputs": _outputs(cell["outputs"])}
        cells.append(new)
    return nbformat.from_dict(
        {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    )


def _outputs(outputs: list[Any]) -> list[Any]:
    """Streams joined, with what a carriage return has overwritten taken out."""
    found: list[Any] = []
    for output in outputs:
        output = dict(output)
        if output["output_type"] == "stream":
            if found and found[-1].get("name") == output["name"]:
                output["text"] = found.pop()["text"] + output["text"]
            found.append(output)
            continue
        output.pop("execution_count", None)
        if output["output_type"] == "execute_result":
            output["execution_count"] = None
        found.append(output)
    for output in found:
        if output["output_type"] == "stream":
            lines = [line.rpartition("\r")[2] for line in output["text"].split("\n")]
            output["text"] = "\n".join(lines)
    return [o for o in found if o["output_type"] != "stream" or o["text"].strip()]


def code_hash(notebook: Any) -> str:
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def output_problems(notebook: Any) -> list[str]:
    """What no run may leave behind: errors, stderr, figures that are too large or without words."""
    found = []
    for number, cell in enumerate(notebook["cells"]):
        for output in cell.get("outputs", []):
            where, data = f"cell {number}", output.get("data", {})
            text = output.get("text", "") + data.get("text/plain", "")
            if output["output_type"] == "error" or output.get("name") == "stderr":
                found.append(f"{where}: {output.get('ename', 'stderr')}: {text[:200]}")
            found += [f"{where}: prints {k}" for k, p in UNSTABLE.items() if re.search(p, text)]
            for kind in set(data) - {"text/plain", "image/png"}:
                found.append(f"{where}: {kind} is not shown everywhere; use plotting.show")
            if "image/png" in data:
                alt = output["metadata"].get("image/png", {}).get("alt", "")
                size = len(base64.b64decode(data["image/png"]))
                if len(alt) < 30 or data.get("text/plain") != alt:
                    found.append(f"{where}: a figure without alt text; use plotting.show")
                if size > PNG_LIMIT:
                    found.append(f"{where}: a PNG of {size:,} bytes, at most {PNG_LIMIT:,}")
    return found


def problems(path: Path) -> list[str]:
    """What is wrong with a notebook as it lies in a folder."""
    raw = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(raw, as_version=4)
    nbformat.validate(notebook)
    found = output_problems(notebook)
    if notebook["metadata"].get("minigan", {}).get("code_sha256") != code_hash(notebook):
        found.append("the outputs are not those of this code: run make chapters")
    elif raw != written(normalise(notebook)):
        found.append("not normalised: run make chapters")
    if len(raw.encode()) > NOTEBOOK_LIMIT:
        found.append(f"{len(raw.encode()):,} bytes, at most {NOTEBOOK_LIMIT:,}")
    first, second = [*notebook["cells"], {"source": ""}, {"source": ""}][:2]
    if not first["source"].startswith(f"# {path.name[:2]} "):
        found.append(f"the first cell must start with the title, '# {path.name[:2]} ...'")
    if second["source"] != SETUP:
        found.append("the second cell must be SETUP, which installs the package")
    if second.get("outputs"):
        found.append("SETUP has installed something: execute where minigan is, by make chapters")
    text = "\n\n".join(c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown")
    sections = re.findall(r"^## (?:\d+\.? )?(.+)$", text, re.MULTILINE)
    if sections[-len(LAST_SECTIONS) :] != LAST_SECTIONS:
        found.append(f"the last sections must be {LAST_SECTIONS}, not {sections[-4:]}")
    tasks = max(path.name[:2], "01")  # chapter 00 has no tasks and leads to those of 01
    status = f'from minigan.grading import status\n\nstatus("{tasks}")'
    if notebook["cells"][-2]["source"] != status:
        found.append(f"the cell before the last must show the tasks: {status!r}")
    to_try = text.partition("## What to try")[2].partition("\n## ")[0]
    if len(re.findall(r"^\d\. .*?\*Expect", to_try, re.MULTILINE | re.DOTALL)) != 3:
        found.append("'What to try' must be three numbered experiments, each with '*Expect:* ...'")
    return found + broken_links(text, path.parent)


def broken_links(text: str, folder: Path) -> list[str]:
    """Links and pictures of Markdown that name no file, and pictures without words."""
    found = []
    for mark, words, target in re.findall(r"(!?)\[([^\]]*)\]\(([^)\s]+)[^)]*\)", text):
        if not re.match(r"[a-z]+:", target) and not (folder / target.partition("#")[0]).exists():
            found.append(f"a link leads nowhere: {target}")
        if mark and len(words) < 30:
            found.append(f"a picture without alt text: {target}")
    return found


def written(notebook: Any) -> str:
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args().notebooks:
        began = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        done = normalise(execute(notebook, path.resolve().parent, fast=False))
        path.write_text(written(done), encoding="utf-8")
        print(f"{path}: {time.perf_counter() - began:.0f} s", flush=True)
        if found := problems(path):
            sys.exit("\n".join(f"{path}: {problem}" for problem in found))


if __name__ == "__main__":
    main()
