"""`prepare` and `count_tokens` equal the stock processors in each of the three ways.

``--conversation-cases`` and ``--campaign-seed`` choose how many random conversations, and which.
"""

import base64
import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from qwen_vl_utils import process_vision_info
from transformers import (
    BatchFeature,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

import qvl_fast
from qvl_fast import ImageError, count_tokens, prepare

MODELS = {
    "qwen2-vl": (Qwen2VLConfig, Qwen2VLForConditionalGeneration),
    "qwen2.5-vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration),
    "qwen3-vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration),
}
ROADS = ("processor", "utils", "both")
WORDS = ("Describe", " 12 cats", "\n\n", "请描述这张图片。", " too. ", "")


@pytest.fixture(scope="module", params=MODELS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def processor(name, tiny_processor):
    return bounded(tiny_processor, name)


def bounded(tiny_processor, name):
    """With bounds that often bind, so that the roads differ."""
    image = {"size": {"shortest_edge": 64 * 64, "longest_edge": 160 * 160}}
    video = {"size": {"shortest_edge": 4 * 64 * 64, "longest_edge": 8 * 128 * 128}}
    return tiny_processor(name, image, video)


def stock_inputs(messages, processor, road, **template):
    """What the programs do that the roads stand for."""
    if road == "processor":
        return processor.apply_chat_template(
            messages,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
            **template,
        )
    images, videos, options = process_vision_info(
        messages,
        return_video_kwargs=True,
        return_video_metadata=True,
        image_patch_size=processor.image_processor.patch_size,
    )
    if videos is not None:
        videos, metadata = map(list, zip(*videos, strict=True))
        options["video_metadata"] = metadata
    else:
        options = {}
    if road == "utils":
        options["do_resize"] = False
    text = processor.apply_chat_template(messages, tokenize=False, **template)
    return processor(
        text=text, images=images, videos=videos, padding=True, return_tensors="pt", **options
    )


def noise(rng, least=20, most=300):
    return Image.fromarray(rng.integers(0, 256, (*rng.integers(least, most, 2), 3), np.uint8))


def random_image(rng, road, folder):
    """An element with an image in one of its forms, with a budget where the road reads one."""
    image = noise(rng)
    form = str(rng.choice(["pil", "path", "bytes", "base64"]))
    if form != "pil":
        file = io.BytesIO()
        turned = Image.Exif()
        turned[0x0112] = int(rng.integers(1, 9))
        kind = str(rng.choice(["PNG", "JPEG"]))
        image.save(file, kind, exif=turned)
        image = file.getvalue()
    if form == "path":
        image = written(image, folder)
    elif form == "base64":
        image = f"data:image/{kind.lower()};base64,{base64.b64encode(image).decode()}"
    element = {"type": "image", "image": image}
    if road != "processor" and rng.random() < 0.2:
        height, width = rng.integers(30, 400, 2)
        element |= {"resized_height": int(height), "resized_width": int(width)}
    return element


def written(file, folder):
    path = folder / str(len(list(folder.iterdir())))
    path.write_bytes(file)
    return str(path)


def without_bytes(messages, folder):
    """The same for stock, which reads images from paths and not from bytes."""
    if isinstance(messages, dict):
        return {key: without_bytes(value, folder) for key, value in messages.items()}
    if isinstance(messages, list):
        return [without_bytes(item, folder) for item in messages]
    return written(messages, folder) if isinstance(messages, bytes) else messages


def random_conversation(rng, road, folder):
    """A few messages with images and videos between texts."""
    conversation = [{"role": "system", "content": "Be brief."}] if rng.random() < 0.3 else []
    for _ in range(rng.integers(1, 3)):
        content = []
        for kind in rng.choice(["text", "image", "image", "video"], rng.integers(0, 5)):
            if kind == "text":
                content.append({"type": "text", "text": str(rng.choice(WORDS))})
            elif kind == "video":
                width, height = rng.integers(40, 160, 2)
                frames = rng.integers(0, 256, (rng.integers(4, 9), height, width, 3), np.uint8)
                content.append({"type": "video", "video": list(map(Image.fromarray, frames))})
            else:
                content.append(random_image(rng, road, folder))
            if kind != "text" and road != "processor" and rng.random() < 0.4:
                content[-1]["max_pixels"] = int(rng.integers(180_000, 400_000))
                content[-1]["min_pixels"] = int(rng.integers(20_000, 90_000))
        conversation.append({"role": "user", "content": content})
    return conversation


@pytest.fixture(scope="module")
def processors(tiny_processor):
    return {name: bounded(tiny_processor, name) for name in MODELS}


def check_conversations(processors, folder, rng):
    name, road = str(rng.choice(list(MODELS))), str(rng.choice(ROADS))
    processor = processors[name]
    several = [random_conversation(rng, road, folder) for _ in range(rng.integers(1, 4))]
    messages = several if len(several) > 1 else several[0]
    template = {"add_generation_prompt": bool(rng.random() < 0.5)}
    processor.tokenizer.padding_side = str(rng.choice(["left", "right"]))
    expected = stock_inputs(without_bytes(messages, folder), processor, road, **template)
    found = prepare(messages, processor, road=road, config=MODELS[name][0](), **template)
    counts = count_tokens(messages, processor, road=road, **template)
    lengths = expected["attention_mask"].sum(1).tolist()
    differing = [
        key
        for key, value in expected.items()
        if found[key].dtype != torch.as_tensor(value).dtype
        or not torch.equal(found[key], torch.as_tensor(value))
    ]
    if type(found) is not BatchFeature or set(found) - set(expected) != {"position_ids"}:
        differing.append(f"{type(found)} of {list(found)}")
    if counts != (lengths if len(several) > 1 else lengths[0]):
        differing.append(f"count_tokens {counts} instead of {lengths}")
    return f"{name}, {road}", ", ".join(differing)


@pytest.mark.filterwarnings("ignore:.*:FutureWarning")
def test_random_conversations(conversation_chunk, run_campaign, processors, tmp_path):
    run_campaign(
        "conversation", conversation_chunk, partial(check_conversations, processors, tmp_path)
    )


@pytest.fixture(scope="module")
def model(name, processor):
    """A tiny model of transformers that reads what the processor makes."""
    small = {"hidden_size": 32, "intermediate_size": 32, "depth": 2, "num_heads": 2}
    vision = {
        "qwen2-vl": {
            "embed_dim": 32,
            "hidden_size": 32,
            "depth": 2,
            "num_heads": 2,
            "mlp_ratio": 1,
        },
        "qwen2.5-vl": {**small, "out_hidden_size": 32, "fullatt_block_indexes": [1]},
        "qwen3-vl": {**small, "out_hidden_size": 32, "deepstack_visual_indexes": [0]},
    }
    text = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "vocab_size": len(processor.tokenizer),
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
    }
    config_class, model_class = MODELS[name]
    ids = {"image_token_id": processor.image_token_id, "video_token_id": processor.video_token_id}
    torch.manual_seed(0)
    return model_class(config_class(text_config=text, vision_config=vision[name], **ids)).eval()


def test_a_model_reads_it(processor, model):
    rng = np.random.default_rng(0)
    video = [noise(rng, 90, 91)] * 6
    messages = [
        [{"role": "user", "content": [{"type": "image", "image": noise(rng)}]}],
        [
            {"role": "user", "content": [{"type": "text", "text": "Describe"}]},
            {"role": "user", "content": [{"type": "video", "video": video}]},
        ],
    ]
    processor.tokenizer.padding_side = "left"
    template = {"add_generation_prompt": True}
    stock = stock_inputs(messages, processor, "processor", **template)
    inputs = prepare(messages, processor, config=model.config, **template)
    positions, _ = model.model.get_rope_index(
        **{key: value for key, value in stock.items() if not key.startswith("pixel")}
    )
    assert torch.equal(inputs["position_ids"], positions)
    # Warm-up tells apart what is stored in the model from what is passed.
    answers = [
        model.generate(**given, max_new_tokens=6, do_sample=False)
        for given in (stock, inputs, stock)
    ]
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, model(**stock).logits)


def test_positions_of_another_version(name, processor):
    image = {"type": "image", "image": noise(np.random.default_rng(0))}
    messages = [user(image), user({"type": "text", "text": "Describe"}, image)]
    inputs = prepare(messages, processor, positions="4.57")
    expected, _ = qvl_fast.mrope_position_ids(
        inputs["mm_token_type_ids"],
        config=name,
        image_grid_thw=inputs["image_grid_thw"],
        attention_mask=inputs["attention_mask"],
        positions="4.57",
        return_tensors="pt",
    )
    assert torch.equal(inputs["position_ids"], expected)
    newest = prepare(messages, processor, positions="5.24")["position_ids"]
    assert not torch.equal(newest, expected), "the padding of 4.57 has another id"


# Roads.


def sizes(inputs):
    return inputs["image_grid_thw"].tolist()


def user(*content):
    return [{"role": "user", "content": list(content)}]


def test_budgets_of_messages_decide_the_road(tiny_processor):
    processor = tiny_processor(
        "qwen2.5-vl", {"size": {"shortest_edge": 56**2, "longest_edge": 84**2}}, {}
    )
    image = noise(np.random.default_rng(0), 300, 301)
    plain, bounded = {"image": image, "type": "image"}, {"image": image, "max_pixels": 120**2}
    assert sizes(prepare(user(plain), processor)) == [[1, 6, 6]]
    assert sizes(prepare(user(bounded), processor)) == [[1, 8, 8]]
    assert sizes(prepare(user(plain, bounded), processor)) == [[1, 22, 22], [1, 8, 8]]
    assert sizes(prepare(user(bounded), processor, road="both")) == [[1, 6, 6]]
    assert sizes(prepare(user({**bounded, "type": "image"}), processor, road="processor")) == [
        [1, 6, 6]
    ]


def test_qwen3_small_images_grow_on_the_way(tiny_processor):
    """Known answers: the utilities' least size is below the processor's."""
    processor = tiny_processor("qwen3-vl", {"min_pixels": 65536, "max_pixels": 4096**2}, {})
    for size, utils, both in (((50, 50), [4, 4], [16, 16]), ((75, 100), [6, 4], [20, 14])):
        messages = user({"type": "image", "image": Image.new("RGB", size)})
        for road, expected in (("utils", utils), ("both", both)):
            assert sizes(prepare(messages, processor, road=road)) == [[1, *expected]]
            assert count_tokens(messages, processor, road=road) == len(
                stock_inputs(messages, processor, road)["input_ids"][0]
            )


def test_settings_of_the_processor_count_when_it_is_called(tiny_processor):
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 112**2}, {})
    messages = user({"type": "image", "image": noise(np.random.default_rng(0), 200, 300)})
    before = count_tokens(messages, processor)
    processor.image_processor.size["longest_edge"] = 168**2
    assert count_tokens(messages, processor) > before
    expected = stock_inputs(messages, processor, "processor")
    assert torch.equal(prepare(messages, processor)["pixel_values"], expected["pixel_values"])


def test_pil_backend(tiny_processor):
    processor = tiny_processor(
        "qwen2-vl", {"max_pixels": 112**2, "min_pixels": 56**2}, {}, pil=True
    )
    messages = user({"type": "image", "image": noise(np.random.default_rng(0), 200, 300)})
    expected = stock_inputs(messages, processor, "processor")
    assert torch.equal(prepare(messages, processor)["pixel_values"], expected["pixel_values"])


VIDEO = Path(__file__).parents[3] / "shared/data/cookbook/v_rBMQFpHspmo.mp4"


@pytest.mark.skipif(not VIDEO.exists(), reason="the cookbook's video is not there")
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.usefixtures("torchcodec")
def test_video_files(name, tiny_processor, road):
    pytest.importorskip("av")
    size = {"shortest_edge": 4 * 64 * 64, "longest_edge": 8 * 128 * 128}
    sampling = {"fps": 0.2, "do_sample_frames": True}
    processor = tiny_processor(name, {}, {"size": size, **sampling})
    element = {"type": "video", "video": str(VIDEO)}
    if road != "processor":
        element["fps"] = 0.2
    messages = user({"type": "text", "text": "Describe"}, element)
    expected = stock_inputs(messages, processor, road)
    found = prepare(messages, processor, road=road)
    for key, value in expected.items():
        assert torch.equal(found[key], torch.as_tensor(value)), key
    assert count_tokens(messages, processor, road=road) == len(expected["input_ids"][0])


# Forms.


def test_forms_of_images(tiny_processor, tmp_path):
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 112**2}, {})
    file = io.BytesIO()
    noise(np.random.default_rng(0)).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    text = base64.b64encode(file.getvalue()).decode()
    path = str(tmp_path / "a.png")
    for element in (
        {"type": "image", "image": path},
        {"type": "image", "path": path},
        {"type": "image", "url": f"data:image/png;base64,{text}"},
        {"type": "image", "base64": text},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}},
    ):
        messages = user(element, {"type": "text", "text": "too"})
        expected = stock_inputs(messages, processor, "processor")
        found = prepare(messages, processor)
        assert torch.equal(found["pixel_values"], expected["pixel_values"])
        assert torch.equal(found["input_ids"], expected["input_ids"])
        assert count_tokens(messages, processor) == len(expected["input_ids"][0])
    # Stock takes neither of these.
    for source in (file.getvalue(), tmp_path / "a.png", file, np.asarray(Image.open(file))):
        messages = user({"type": "image", "image": source}, {"type": "text", "text": "too"})
        assert torch.equal(prepare(messages, processor)["pixel_values"], found["pixel_values"])
        assert count_tokens(messages, processor) == found["input_ids"].numel()


@pytest.mark.parametrize("road", ROADS)
def test_addresses_go_through_fetch(tiny_processor, road):
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 112**2}, {})
    file = io.BytesIO()
    noise(np.random.default_rng(0)).save(file, "PNG")
    messages = user({"type": "image", "image": "https://host/a.png"})
    inputs = prepare(
        messages, processor, road=road, fetch={"https://host/a.png": file.getvalue()}.get
    )
    count = count_tokens(
        messages, processor, road=road, fetch={"https://host/a.png": file.getvalue()}.get
    )
    assert count == inputs["input_ids"].numel()


FILE = "samples/coffee.png"


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("kind", "source", "message"),
    [
        ("image", FILE, "allow_files is False"),
        ("image", {"path": FILE}, "allow_files is False"),
        ("image", {"bytes": None, "path": FILE}, "allow_files is False"),
        ("image", {"bytes": FILE}, f"bytes as its 'bytes', got '{FILE}'"),
        ("image", {"bytes": "", "path": FILE}, "bytes as its 'bytes', got ''"),
        ("image", {"path": {"path": FILE}}, "got dict"),
        ("image", [FILE], f"one image, got .'{FILE}'"),
        ("image", [{"bytes": FILE}], "one image, got"),
        ("video", FILE, "allow_files is False"),
        ("video", {"path": FILE}, None),
        ("video", {"bytes": FILE}, None),
        ("video", [FILE], None),
        ("video", [{"path": FILE}], None),
        ("video", [{"bytes": FILE}], None),
        ("video", [[FILE]], None),
    ],
)
def test_no_form_of_a_message_opens_a_file_that_is_not_allowed(
    tiny_processor, road, kind, source, message
):
    processor = tiny_processor("qwen2.5-vl", {}, {})
    closed = qvl_fast.integrations.qwen_vl_utils.Fetcher(allow_files=False)
    for function in (prepare, count_tokens):
        with pytest.raises((ImageError, TypeError), match=message):
            function(user({"type": kind, kind: source}), processor, road=road, fetch=closed)


def test_counting_decodes_nothing(tiny_processor, tmp_path):
    """A file that ends with its header has a size, and no pixels."""
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 112**2}, {})
    file = io.BytesIO()
    noise(np.random.default_rng(0), 200, 300).save(file, "JPEG")
    whole = file.getvalue()
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "cut.jpg").write_bytes(whole[:1000])
    whole, cut = (
        user({"type": "image", "image": str(tmp_path / name)}) for name in ("whole.jpg", "cut.jpg")
    )
    for road in ROADS:
        assert count_tokens(cut, processor, road=road) == count_tokens(whole, processor, road=road)
        with pytest.raises(ImageError, match=r"cut.jpg"):
            prepare(cut, processor, road=road)


def test_photographs(tiny_processor, photographs):
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 1280 * 28**2}, {})
    messages = user(*({"type": "image", "image": str(file)} for file in photographs))
    expected = stock_inputs(messages, processor, "both")["input_ids"]
    assert count_tokens(messages, processor, road="both") == expected.numel()
    assert count_tokens(messages, processor) == prepare(messages, processor)["input_ids"].numel()


def test_verl_filters_by_length(tiny_processor, tmp_path):
    """It drops rows longer than a limit by running the whole processor on each."""
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 28**2 * 40}, {})
    rng = np.random.default_rng(0)
    rows = [
        user({"type": "image", "image": noise(rng)}, {"type": "text", "text": "Describe"})
        for _ in range(12)
    ]

    def doc2len(messages):
        prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        images, videos = process_vision_info(messages, return_video_metadata=True)
        return len(processor(text=[prompt], images=images, videos=videos)["input_ids"][0])

    lengths = [doc2len(row) for row in rows]
    assert len(set(lengths)) > 3
    assert [
        count_tokens(row, processor, road="both", add_generation_prompt=True) for row in rows
    ] == lengths
    assert count_tokens(rows, processor, road="both", add_generation_prompt=True) == lengths


# Bad input.


@pytest.mark.parametrize("function", [prepare, count_tokens])
@pytest.mark.parametrize(
    ("messages", "options", "error", "words"),
    [
        ([], {}, ValueError, "messages must hold at least one"),
        ("text", {}, TypeError, "messages must be a list"),
        (
            [{"role": "user", "content": [3]}],
            {},
            TypeError,
            "element of a message must be a mapping",
        ),
        (
            user(),
            {"road": "neither"},
            ValueError,
            "road must be one of 'processor', 'utils', 'both'",
        ),
        (
            user({"type": "image"}),
            {},
            ValueError,
            "of type 'image' must have one of image, url, path",
        ),
        (
            user({"type": "image", "url": "a.png", "path": "b.png"}),
            {},
            ValueError,
            "must have one of image, url, path, base64",
        ),
        (user({"type": "image", "image": "no/such.png"}), {}, FileNotFoundError, "no/such.png"),
        (user({"type": "image", "image": 3}), {}, TypeError, "image must be a path"),
        (user({"type": "video", "video": ["https://host/a.png"]}), {}, TypeError, "in files"),
        (user({"type": "video", "video": []}), {}, ValueError, "at least one frame, got none"),
        (
            user({"type": "video", "video": []}),
            {"road": "utils"},
            ValueError,
            "at least one picture",
        ),
        (user({"type": "video", "video": 3}), {}, TypeError, "video must be a file, an array"),
        (user({"type": "video", "video": "no/such.mp4"}), {}, FileNotFoundError, "no/such.mp4"),
        (
            user(
                {"type": "image", "image": Image.new("RGB", (90, 90))},
                {"type": "text", "text": "<|image_pad|>"},
            ),
            {},
            ValueError,
            "2 placeholders.* 1",
        ),
    ],
)
def test_bad_input(tiny_processor, function, messages, options, error, words):
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 112**2}, {})
    with pytest.raises(error, match=words):
        function(messages, processor, **options)


def test_an_error_names_the_image(tiny_processor):
    processor = tiny_processor("qwen2.5-vl", {"min_pixels": 56**2, "max_pixels": 112**2}, {})
    good, bad = Image.new("RGB", (90, 90)), b"no image"
    messages = [user({"type": "image", "image": good}), user({"type": "image", "image": bad})]
    for road in ROADS:
        with pytest.raises(ImageError, match="cannot be decoded") as caught:
            prepare(messages, processor, road=road)
        assert (caught.value.index, caught.value.source) == (1, bad)


def test_other_processors():
    with pytest.raises(TypeError, match=r"processor must be one of Qwen2VLProcessor, .* got"):
        prepare(user(), {})
