"""MkDocs hooks: figures lie outside of docs/, where pages link to them as GitHub does; the leaderboard is made elsewhere."""

from pathlib import Path

from mkdocs.structure.files import File
from mkdocs.structure.nav import Link

ROOT = Path(__file__).parents[1]


def on_files(files, config):
    """Add figures/*/*.png to the site."""
    for path in sorted(ROOT.glob("figures/*/*.png")):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_nav(nav, **_):
    """The leaderboard after the claims: `make docs` writes it last."""
    places = [i for i, item in enumerate(nav.items) if item.title == "Claims"]
    nav.items.insert(places[0] + 1 if places else len(nav.items), Link("Leaderboard", "leaderboard.html"))
    return nav


def on_page_markdown(markdown, **_):
    """One step less up: ../figures of a page in docs/ is figures in the site."""
    return markdown.replace("](../figures/", "](figures/").replace("](../../figures/", "](../figures/")
