# SPDX-License-Identifier: Apache-2.0
"""etc/doc/features.md: no row claims what no test shows, and README.md shows the same."""

import ast
import functools
import re

import pages
import pytest
import utils
from pages import section

PAGE = pages.DOC / "features.md"
ROUTERS = ["routerd", "Crossbar.io", "nexus", "Bondy", "xconn-go", "xconn (Rust)"]
INTEGRATION = utils.ROOT / "tests/integration"
UNIT = utils.ROOT / "tests/unit"

# They are about the tests and the documents, and not about a feature.
NO_FEATURE = {"test_conftest.py", "test_demo.py", "test_feature_table.py", "test_features.py", "test_readme.py"}


class Row:
    def __init__(self, cells):
        self.name, *values = cells[:1 + len(ROUTERS)]
        self.values = [re.sub(r"\[\^[^]]*\]$", "", value) for value in values]
        self.marked = ["[^" in value for value in values]  # has a footnote
        self.tests = re.findall("`([^`]*)`", "".join(cells[1 + len(ROUTERS):]))
        self.keys = re.findall(r"\(`([a-z_]+)`\)", self.name)

    def __repr__(self):
        return self.name


def rows(text, last):
    """The rows of all tables in `text`. Each table has a column for each router, and the columns in `last`."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if line.startswith("|") and not line.startswith("|---"):
            assert len(cells) == 1 + len(ROUTERS) + len(last), line
            if cells[0] == "feature":
                assert cells[1:] == ROUTERS + last
            else:
                found.append(Row(cells))
    assert len({row.name for row in found}) == len(found) > 20
    return found


TABLE = rows(PAGE.read_text(), ["tests"])
SHORT = rows(section("routerd and other routers compared"), [])


@functools.cache
def names_in(path):
    """The tests in a file that run in some stage."""
    if path.parent == UNIT:
        return set(re.findall(r"cmocka_unit_test\w*\(\s*(\w+)", path.read_text()))
    return {node.name for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            and not any("skip" in ast.unparse(decorator) for decorator in node.decorator_list)}


def problem(row):
    """What is wrong with a row, or None."""
    if not set(row.values) <= {"yes", "part", "no", "?"} or row.values[0] == "?":
        return "wrong value"
    if any(value == "part" and not marked for value, marked in zip(row.values, row.marked)):
        return "a part without a footnote"
    if row.values[0] != "no" and not row.tests:
        return "no test"
    for test in row.tests:
        file, _, name = test.partition("::")
        path = (UNIT if file.endswith(".c") else INTEGRATION) / file
        if not re.fullmatch(r"test_\w+\.(py|c)", file) or not path.is_file():
            return f"no file {file}"
        if not names_in(path) or (name and name not in names_in(path)):
            return f"no test {test}"
    return None


@pytest.mark.python
def test_each_claim_has_a_test():
    assert {row: problem(row) for row in TABLE if problem(row)} == {}


@pytest.mark.python
@pytest.mark.parametrize("cells, wrong", [
    (["x", "yes", "`test_basic.py`"], None), (["x", "no", ""], None), (["x", "yes", ""], "no test"),
    (["x", "part[^a]", "`test_basic.py::test_acknowledge`"], None), (["x", "part", "`test_basic.py`"], "a part without a footnote"),
    (["x", "yes", "`test_nothing.py`"], "no file test_nothing.py"), (["x", "yes", "`../test_basic.py`"], "no file ../test_basic.py"),
    (["x", "yes", "`test_basic.py::test_nothing`"], "no test test_basic.py::test_nothing"), (["x", "soon", ""], "wrong value"),
    (["x", "yes", "`test_wheel.c::test_moved_and_canceled`"], None), (["x", "?", ""], "wrong value"),
    (["x", "yes", "`test_wheel.c::test_nothing`"], "no test test_wheel.c::test_nothing")])
def test_a_wrong_row_is_found(cells, wrong):
    assert problem(Row([*cells[:2], *["no"] * (len(ROUTERS) - 1), cells[2]])) == wrong


@pytest.mark.python
def test_the_named_tests_are_collected(request):
    """Of a run of the whole suite without the long tests: it runs each test that the table names."""
    collected = {item.nodeid.split("[")[0].rpartition("/")[2] for item in request.session.items}
    files = {test.partition("::")[0] for test in collected}
    if files < {path.name for path in INTEGRATION.glob("test_*.py")} or request.config.option.keyword:
        return
    named = {test for row in TABLE for test in row.tests if ".py::" in test}
    assert named - collected == set()


@pytest.mark.python
def test_each_file_of_tests_is_about_a_row():
    named = {test.partition("::")[0] for row in TABLE for test in row.tests}
    files = {path.name for path in INTEGRATION.glob("test_*.py")}
    assert NO_FEATURE <= files and not NO_FEATURE & named
    assert files - named - NO_FEATURE == set(), "name these files in a row of etc/doc/features.md"


@pytest.mark.python
def test_footnotes():
    text = PAGE.read_text()
    used, defined = re.findall(r"\[\^([^]]*)\](?!:)", text), re.findall(r"^\[\^([^]]*)\]:", text, re.M)
    assert set(used) == set(defined) and len(set(defined)) == len(defined)


@pytest.mark.python
def test_the_short_form():
    """Each row of README.md is a row of the table, with the same values, in the same order."""
    names = [row.name for row in SHORT]
    same = [(row.name, row.values) for row in TABLE if row.name in names]
    assert [(row.name, row.values) for row in SHORT] == same, "README.md and etc/doc/features.md disagree"


def test_what_welcome_announces(routerd, join):
    roles = join(routerd).details["roles"]
    announced = {feature for role in roles.values() for feature in role["features"]}
    claimed = {key for row in TABLE for key in row.keys if row.values[0] == "yes"}
    assert claimed == announced
    assert not announced & {key for row in TABLE for key in row.keys if row.values[0] != "yes"}
