"""The layout: tests mirror the package, module names are unique, and files, functions and constructors stay small."""

import ast
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "kedrec"
TESTS = REPOSITORY / "tests"
# Folders of tests that are about no folder of the package, and the test files in them whatever their names.
OTHER_FOLDERS = {"repository", "sample", "slurm", "support"}
LOOSE_MODULES = 12
FILE_LINES = 400
FUNCTION_LINES = 60
CONSTRUCTOR_ARGUMENTS = 12
# What is longer than allowed still; the tests fail, too, when an entry is no longer needed.
LONG_FUNCTIONS: set[str] = set()
LONG_CONSTRUCTORS = {"Decoder"}

MODULES = sorted(PACKAGE.rglob("*.py"))
TEST_FILES = sorted(path for path in TESTS.rglob("test_*.py"))


def test_there_is_something_to_check():
    assert len(MODULES) > 150
    assert len(TEST_FILES) > 120


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_a_test_file_is_named_after_a_module_in_the_same_folder(path):
    folder = path.relative_to(TESTS).parent
    if folder.parts and folder.parts[0] in OTHER_FOLDERS:
        assert folder.parts[0] != "support", "helpers are no tests"
        return
    tested = PACKAGE / folder
    assert tested.is_dir(), f"kedrec/{folder} does not exist"
    name = path.stem.removeprefix("test_")
    modules = [module.stem for module in tested.glob("*.py") if module.stem != "__init__"]
    assert any(name == module or name.startswith(f"{module}_") for module in modules), (
        f"kedrec/{folder} has no module that {path.name} is named after: test_<module>.py or test_<module>_<more>.py"
    )


def test_folders_of_tests_are_those_of_the_package_and_a_few_more():
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("__init__.py")} - {Path()}
    others = {folder for folder in folders if not (PACKAGE / folder).is_dir()}
    assert {folder.parts[0] for folder in others} <= OTHER_FOLDERS
    for folder in folders:
        assert len(list((TESTS / folder).glob("*.py"))) > 1 or any((TESTS / folder).glob("*/__init__.py")), folder


def test_helpers_lie_in_the_support_folder():
    loose = {path for path in TESTS.rglob("*.py") if not path.name.startswith("test_")}
    for path in loose - set((TESTS / "support").rglob("*.py")):
        assert path.name in ("__init__.py", "conftest.py"), path.relative_to(REPOSITORY)


def test_few_modules_lie_loose_at_the_top():
    loose = [path.name for path in PACKAGE.glob("*.py") if path.stem != "__init__"]
    assert len(loose) <= LOOSE_MODULES, loose


def test_a_module_name_stands_once():
    counts = Counter(path.name for path in MODULES if path.stem != "__init__")
    assert {name: count for name, count in counts.items() if count > 1} == {}


def test_no_file_is_long():
    lengths = {str(path.relative_to(REPOSITORY)): path.read_text().count("\n") for path in [*MODULES, *TEST_FILES]}
    assert {name: length for name, length in lengths.items() if length > FILE_LINES} == {}


def test_no_function_is_long():
    long = {}
    for path in MODULES:
        tree = ast.parse(path.read_text())
        owners = {part: node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for part in node.body}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{owners[node]}.{node.name}" if node in owners else node.name
                if (lines := node.end_lineno - node.lineno + 1) > FUNCTION_LINES:
                    long[name] = f"{path.relative_to(REPOSITORY)}: {lines} lines"
    assert long.keys() == LONG_FUNCTIONS, long


def test_no_constructor_takes_many_arguments():
    many = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and (count := _constructor_arguments(node)) > CONSTRUCTOR_ARGUMENTS:
                many[node.name] = f"{path.relative_to(REPOSITORY)}: {count} arguments"
    assert many.keys() == LONG_CONSTRUCTORS, many


def _constructor_arguments(node: ast.ClassDef) -> int:
    """Return how many arguments ``__init__`` takes beside ``self``; of a dataclass, how many fields it has."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            taken = part.args
            return len(taken.posonlyargs) + len(taken.args) + len(taken.kwonlyargs) - 1
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return sum(isinstance(part, ast.AnnAssign) for part in node.body)
    return 0
