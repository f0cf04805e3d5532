"""The choice of attention, and kernels for CUDA as far as they can be tried without it."""

import sys
import warnings
from types import ModuleType

import pytest
import torch

import qvl_fast
from qvl_fast.config import TOWERS
from qvl_fast.models import Qwen2_5VisionTower, Qwen2VisionTower, attention
from qvl_fast.models.attention import Segments, choose_kernel

CUDA = torch.device("cuda", 0)
VARLEN = ["flash-attn-3", "flash-attn", "varlen-flash", "varlen-cudnn"]


@pytest.fixture
def device_of(monkeypatch):
    """``device_of(capability)``: torch says that there is such a device; nothing is imported."""
    monkeypatch.setattr(attention, "_FUNCTIONS", {})

    def make(capability):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 92400)

    return make


@pytest.fixture
def installed(monkeypatch):
    """``installed(module, function)``: an import finds a module with one function."""

    def make(name, function):
        module = ModuleType(name)
        setattr(module, function.__name__, function)
        monkeypatch.setitem(sys.modules, name, module)

    return make


def flash_attn_varlen_func(q, k, v, cu_q, cu_k, longest_q, longest_k):
    """Stands in for the function of flash-attn."""
    assert cu_q is cu_k
    assert longest_q == longest_k
    lengths = cu_q.diff().tolist()
    assert longest_q >= max(lengths)
    parts = zip(*(states.split(lengths) for states in (q, k, v)), strict=True)
    return torch.cat([attention.attention(*part, whole(len(part[0]))) for part in parts])


def whole(length):
    return Segments("sdpa", None, length, (qvl_fast.EqualSegments(length, 1),))


# ------------------------------------------------------------------------------------ the choice


def test_the_choice_of_attention():
    config = TOWERS["qwen2-vl-tiny"]
    tower = Qwen2VisionTower(config)
    assert tower.kernel == "sdpa"
    assert "attention='auto'" in repr(tower)
    with pytest.raises(ValueError, match=r"attention must be one of .*, got 'varlen'"):
        Qwen2VisionTower(config, attention="varlen")
    forced = Qwen2VisionTower(config, attention="varlen-flash")
    with pytest.raises(ValueError, match=r"'varlen-flash' cannot run: .* tower is on cpu"):
        forced(torch.zeros(4, 1176), [[1, 2, 2]])


def test_what_is_taken_where(device_of, installed):
    half = torch.bfloat16
    device_of((9, 0))
    assert choose_kernel("auto", CUDA, half, 80) == "varlen-flash"
    assert choose_kernel("varlen-cudnn", CUDA, half, 80) == "varlen-cudnn"
    assert choose_kernel("auto", CUDA, torch.float32, 80) == "sdpa"
    assert choose_kernel("auto", torch.device("cpu"), half, 80) == "sdpa"
    device_of((7, 5))
    assert choose_kernel("auto", CUDA, half, 80) == "sdpa"
    attention._FUNCTIONS.clear()
    installed("flash_attn", flash_attn_varlen_func)
    installed("flash_attn_interface", flash_attn_varlen_func)
    device_of((8, 0))
    assert choose_kernel("auto", CUDA, half, 72) == "flash-attn"
    device_of((9, 0))
    assert choose_kernel("auto", CUDA, half, 72) == "flash-attn-3"


@pytest.mark.parametrize("choice", VARLEN)
def test_why_a_kernel_cannot_run(device_of, choice):
    device_of((9, 0))
    with pytest.raises(ValueError, match=r"float16 or bfloat16, .* torch\.float32"):
        choose_kernel(choice, CUDA, torch.float32, 80)
    with pytest.raises(ValueError, match=r"divisible by 8, .* is 20"):
        choose_kernel(choice, CUDA, torch.bfloat16, 20)
    device_of((7, 5))
    with pytest.raises(ValueError, match=r"compute capability .*9\.x.*, and cuda:0 has \(7, 5\)"):
        choose_kernel(choice, CUDA, torch.bfloat16, 80)


def test_versions_that_lack_a_kernel(device_of, monkeypatch):
    device_of((9, 0))
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91800)
    with pytest.raises(ValueError, match="needs cuDNN 92400, and this is 91800"):
        choose_kernel("varlen-cudnn", CUDA, torch.bfloat16, 80)
    monkeypatch.setattr(torch, "__version__", "2.14.1+cu132")
    for choice in ("varlen-flash", "varlen-cudnn"):
        attention._FUNCTIONS.clear()
        with pytest.raises(ValueError, match=r"needs torch 2\.15, and this is 2\.14\.1\+cu132"):
            choose_kernel(choice, CUDA, torch.bfloat16, 80)
    attention._FUNCTIONS.clear()
    monkeypatch.setattr(torch, "__version__", "2.16.0a0")
    assert choose_kernel("varlen-flash", CUDA, torch.bfloat16, 80) == "varlen-flash"


@pytest.mark.parametrize(
    "body",
    [
        "raise ImportError('libcudart.so.11.0: cannot open shared object file')",
        "raise OSError('undefined symbol: _ZN3c105Error')",
        "raise RuntimeError('built for another torch')",
        "",
    ],
)
def test_a_flash_attn_that_cannot_be_imported(device_of, monkeypatch, tmp_path, body):
    (tmp_path / "flash_attn.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    device_of((8, 0))
    assert choose_kernel("auto", CUDA, torch.bfloat16, 80) == "varlen-flash"
    with pytest.raises(ValueError, match=r"flash_attn_varlen_func cannot be imported"):
        choose_kernel("flash-attn", CUDA, torch.bfloat16, 80)


def test_a_flash_attn_that_warns(device_of, monkeypatch, tmp_path):
    """Warnings are errors here; that one is not ours to fail of."""
    text = "import warnings\nwarnings.warn('old', FutureWarning)\nflash_attn_varlen_func = print\n"
    (tmp_path / "flash_attn.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    device_of((8, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_kernel("auto", CUDA, torch.bfloat16, 80) == "flash-attn"


def test_the_choice_goes_by_the_activations(monkeypatch, make_rows):
    """Not by the weights: autocast and FSDP2 compute in a type of their own."""
    seen = []

    def choose(choice, device, dtype, head_dim):
        seen.append((choice, device.type, dtype, head_dim))
        return "sdpa"

    monkeypatch.setattr("qvl_fast.models.base.choose_kernel", choose)
    tower = Qwen2VisionTower("qwen2-vl-tiny")
    rows = make_rows([[1, 4, 4]], tower.config)
    tower(rows, [[1, 4, 4]])
    with torch.autocast("cpu", torch.bfloat16):
        tower(rows, [[1, 4, 4]])
    tower.patch_embed.register_forward_hook(lambda *values: values[2].half())
    tower.blocks.half()
    tower.merger.half()
    tower(rows, [[1, 4, 4]])
    types = (torch.float32, torch.bfloat16, torch.float16)
    assert seen == [("auto", "cpu", dtype, 24) for dtype in types]


# -------------------------------------------------------------------------- segments of any length


@pytest.mark.parametrize("with_sums", [False, True], ids=["tensor", "tuple"])
@pytest.mark.parametrize("tower_class", [Qwen2VisionTower, Qwen2_5VisionTower])
def test_the_layout_of_varlen_kernels(
    monkeypatch, make_rows, mixed, relative_error, tower_class, with_sums
):
    """With a stand-in; some releases of flash-attn 3 return the sums of the softmax along."""

    def function(*arguments):
        x = flash_attn_varlen_func(*arguments)
        return (x, None) if with_sums else x

    name = "qwen2-vl-tiny" if tower_class is Qwen2VisionTower else "qwen2.5-vl-tiny"
    tower = tower_class(name)
    rows = make_rows(mixed, tower.config)
    expected = tower(rows, mixed).tokens
    monkeypatch.setitem(attention._FUNCTIONS, "flash-attn-3", function)
    monkeypatch.setattr("qvl_fast.models.base.choose_kernel", lambda *_: "flash-attn-3")
    assert relative_error(tower(rows, mixed).tokens, expected) < 1e-5
    assert tower(rows[:0], []).tokens.shape == (0, tower.config.out_width)


@pytest.mark.parametrize("choice", ["varlen-flash", "varlen-cudnn"])
def test_which_kernel_torch_is_told_to_use(device_of, monkeypatch, choice):
    """By itself torch prefers cuDNN, which builds a graph for each new shape."""
    from torch.nn.attention import varlen

    def enabled(*_):
        return torch._C._get_flash_sdp_enabled(), torch._C._get_cudnn_sdp_enabled()

    before = enabled()
    monkeypatch.setattr(varlen, "varlen_attn", enabled)
    device_of((9, 0))
    choose_kernel(choice, CUDA, torch.bfloat16, 80)
    told = attention._FUNCTIONS[choice](None)
    assert told == (choice == "varlen-flash", choice == "varlen-cudnn")
    assert enabled() == before
