"""The tables of a page as text."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Headings and tables of a page as text, and where every src and href points."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.links, self.scripts, self.cell = [], [], 0, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        self.scripts += tag == "script"
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self.cell)
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def table(self, *headings):
        return next(table for table in self.tables if table[0][: len(headings)] == list(headings))
