"""The public names: there without further imports, documented, with examples that hold."""

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import qvl_fast
from qvl_fast import _native

ROOT = Path(__file__).parents[2]
NATIVE = ("smart_resize",)
PYTHON = [
    name
    for name in qvl_fast.__all__
    if inspect.isfunction(getattr(qvl_fast, name)) and name not in NATIVE
]
EXAMPLES = [
    *((name, getattr(qvl_fast, name).__doc__) for name in PYTHON),
    ("ImageProcessor", qvl_fast.ImageProcessor.__doc__),
    ("ModelConfig.preset", qvl_fast.ModelConfig.preset.__doc__),
]
STUBS = {
    node.name: ast.get_docstring(node)
    for node in ast.walk(ast.parse((ROOT / "python/qvl_fast/_native.pyi").read_text()))
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name != "__new__"
}
EXAMPLES += [(name, STUBS[name]) for name in NATIVE]


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_the_example_of_a_docstring_holds(name, text, monkeypatch, request):
    monkeypatch.chdir(ROOT)
    names = {each: getattr(qvl_fast, each) for each in qvl_fast.__all__}
    names["np"] = __import__("numpy")
    if name in ("prepare", "count_tokens"):
        # Theirs is one of transformers, from a checkpoint.
        names["processor"] = request.getfixturevalue("tiny_processor")("qwen2.5-vl", {}, {})
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(text), names, name, None, None)
    assert test.examples, f"{name} has no example"
    report = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert result.failed == 0, "".join(report)


def test_every_stub_has_a_docstring():
    assert [name for name, text in STUBS.items() if not text] == []
    assert {name for name in _native.__all__ if name not in STUBS} == set()


def test_submodules_are_there_when_they_are_used_and_torch_no_sooner():
    code = (
        "import sys, qvl_fast\n"
        "assert {'models', 'reference', 'store'} <= set(dir(qvl_fast))\n"
        "assert 'qvl_fast.reference' not in sys.modules\n"
        "assert qvl_fast.reference.smart_resize(100, 200) == (112, 196)\n"
        "assert qvl_fast.store\n"
        "assert 'torch' not in sys.modules\n"
        "assert qvl_fast.models.Qwen2VisionTower\n"
        "assert 'torch' in sys.modules\n"
        "try: qvl_fast.unheard_of\n"
        "except AttributeError as error: assert 'unheard_of' in str(error)\n"
        "else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_plan_is_the_function_however_it_is_imported():
    import qvl_fast.index.plans
    from qvl_fast import plan

    assert callable(plan)
    assert qvl_fast.plan is plan
    with pytest.raises(ModuleNotFoundError):
        __import__("qvl_fast.plan")


def test_every_public_name_is_there():
    assert qvl_fast.__all__ == sorted(set(qvl_fast.__all__))
    for name in qvl_fast.__all__:
        assert getattr(qvl_fast, name) is not None
