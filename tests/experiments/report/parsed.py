"""A report as a browser reads it."""

import collections
import csv
import html.parser
import io
import pathlib
import urllib.parse

from experiments.report.page import write_report

VOID = {"meta", "link", "input", "img"}


class Page(html.parser.HTMLParser):
    """Elements with their attributes, and the text inside each kind of them.

    Every element must be closed where it is: a `<` of a user's opens one that is not.
    """

    def __init__(self, text: str):
        super().__init__()
        self.text, self.open = text, []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inside: dict[str, list[str]] = collections.defaultdict(list)
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.inside[tag].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.inside[tag][-1] += data

    def data(self, name: str) -> str:
        """What the link to a file of data holds."""
        (target,) = [a["href"] for t, a in self.elements if t == "a" and a.get("download") == name]
        return urllib.parse.unquote(target.partition(",")[2])

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of a CSV."""
        return list(csv.DictReader(io.StringIO(self.data(name))))


def report(folder: pathlib.Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))
