"""Whatever chapters, exercises, pages and code cite by a short name, notation.md has in full."""

import re
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.on_the_host("reads files")
ROOT = Path(__file__).parents[2]
SURNAME = r"[A-Z][\w-]+"
NAMES = rf"{SURNAME}(?:(?:,|,? and| &) {SURNAME})*"
#: "Lin et al. 2018", "Kingma & Ba (2015)", "Odena, Dumoulin and Olah, 2016", "Goodfellow 2014".
CITED = re.compile(rf"({NAMES})(?: et al\.)?,? \(?((?:19|20)\d\d)\b")
#: Venues have years, too.
VENUES = {"CVPR", "Distill", "ICLR", "ICML", "NIPS", "NeurIPS", "Press", "SIAM"}


def cited(text: str) -> set[tuple[str, str]]:
    """The first surname and the year of every work that a text cites."""
    found = CITED.findall(" ".join(text.split()))
    works = {(re.split("[ ,]", names)[0], year) for names, year in found}
    return {(name, year) for name, year in works if name not in VENUES}


def texts() -> dict[str, str]:
    folders = (ROOT / name for name in ("minigan", "exercises", "chapters"))
    yours = ROOT / "exercises" / "work"
    files = [*ROOT.glob("*.md"), *(f for folder in folders for f in folder.rglob("*.[pm][yd]"))]
    pages = {
        str(f.relative_to(ROOT)): f.read_text("utf-8") for f in files if not f.is_relative_to(yours)
    }
    for file in (ROOT / "chapters").glob("*.ipynb"):
        cells = nbformat.read(file, as_version=4).cells
        prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
        pages[str(file.relative_to(ROOT))] = "\n".join(prose)
    return pages


PAGES = texts()
WORKS = (ROOT / "chapters" / "notation.md").read_text("utf-8").partition("## Works cited")[2]
KNOWN = cited("\n".join(re.findall(r"^- \*\*(.*?)\*\*:", WORKS, re.MULTILINE)))


def test_a_citation_is_found_in_each_of_its_forms() -> None:
    text = "(Lin et al. 2018; Kingma & Ba (2015), ICLR 2015) Odena,\nDumoulin and Olah, 2016"
    assert cited(text) == {("Lin", "2018"), ("Kingma", "2015"), ("Odena", "2016")}


@pytest.mark.parametrize("name", [name for name in sorted(PAGES) if cited(PAGES[name])])
def test_works_cited_are_listed(name: str) -> None:
    missing = cited(PAGES[name]) - KNOWN
    assert not missing, f"{name} cites {missing}, which chapters/notation.md does not list"


def test_works_listed_are_cited_and_in_order() -> None:
    others = "\n".join(PAGES.values()).replace(WORKS, "")
    assert cited(others) == KNOWN
    names = re.findall(r"^- \*\*(.*?)\*\*", WORKS, re.MULTILINE)
    assert names == sorted(names, key=lambda name: name.replace(" et al.", ""))
