# SPDX-License-Identifier: Apache-2.0
"""Reads sections, commands and examples from README.md and the pages in etc/doc."""

import re

import utils

README = utils.ROOT / "README.md"
DOC = utils.ROOT / "etc/doc"


def section(title, page=README):
    return page.read_text().split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text):
    """The indented blocks of `text`, without the indent. Examples in ``` are left out."""
    text = re.sub("^```.*?^```$", "", text, flags=re.M | re.S)
    return [re.sub("^    ", "", block, flags=re.M) for block in re.findall(r"(?:^    .*\n)+", text, re.M)]


def examples(language, title, page=README):
    """The examples in this language in a section of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(title, page), re.M | re.S)


def example(language, title):
    """The first example in this language in a section of the README."""
    return examples(language, title)[0]
