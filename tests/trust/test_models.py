"""A hundred teachers that are not what they say: refused in a sentence, or trimmed exactly."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.trust.mini import NO_STORE, Mini, distill_in, is_told

Change = Callable[[Path], object]
LAYER = "encoder.layer.1.output.dense.weight"


def set_key(key: str, value: Any) -> Change:
    """config.json says something else."""

    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, key: value}))

    return change


def drop_key(key: str) -> Change:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config.pop(key, None)
        (folder / "config.json").write_text(json.dumps(config))

    return change


def write(name: str, content: str | bytes) -> Change:
    def change(folder: Path) -> None:
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)

    return change


def tokenizer(change: Callable[[dict[str, Any]], object]) -> Change:
    """tokenizer.json says something else."""

    def changed(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        change(content)
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return changed


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    """The weights are others."""

    def changed(folder: Path) -> None:
        content = load_file(folder / "model.safetensors")
        change(content)
        save_file(content, folder / "model.safetensors", metadata={"format": "pt"})

    return changed


def header(change: Callable[[dict[str, Any]], object]) -> Change:
    """The header of the weights' file is another."""

    def changed(folder: Path) -> None:
        data = (folder / "model.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        content = json.loads(data[8 : 8 + length])
        change(content)
        text = json.dumps(content).encode()
        new = struct.pack("<Q", len(text)) + text + data[8 + length :]
        (folder / "model.safetensors").write_bytes(new)

    return changed


def without(*names: str) -> Change:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def folder_instead(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def cut(name: str, keep: float) -> Change:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(keep * len(data))])

    return change


class Bomb:
    """What unpickling runs."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("/tmp/trust-bomb"),))  # type: ignore[return-value]


def pickled(content: object, name: str = "pytorch_model.bin") -> Change:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / name).write_bytes(pickle.dumps(content))

    return change


def as_torch_file(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def changed(folder: Path) -> None:
        content = load_file(folder / "model.safetensors")
        change(content)
        (folder / "model.safetensors").unlink()
        torch.save(content, folder / "pytorch_model.bin")

    return changed


def index(named: dict[str, Any]) -> Change:
    return write("model.safetensors.index.json", json.dumps({"weight_map": named}))


def one(value: float) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda found: found[LAYER].__setitem__((0, 0), value)


SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "vocab_size", "max_position_embeddings", "type_vocab_size"),
)
SIZED = {
    f"{key} = {value!r:.15}": set_key(key, value)
    for key in SIZES
    for value in (None, "x", -1, 0, 3, 2.5, 10**9, 10**12, [], True)
}
KEYS: dict[str, Change] = {
    f"{key} = {value!r:.30}": set_key(key, value)
    for key, value in [
        ("hidden_act", "no-such"),
        ("hidden_act", 3),
        ("hidden_act", None),
        ("layer_norm_eps", "x"),
        ("layer_norm_eps", -1.0),
        ("layer_norm_eps", 0),
        ("layer_norm_eps", 1e400),
        ("pad_token_id", None),
        ("pad_token_id", -5),
        ("pad_token_id", 10**6),
        ("pad_token_id", "x"),
        ("model_type", "no-such"),
        ("model_type", None),
        ("model_type", 3),
        ("model_type", "vit"),
        ("model_type", "t5"),
        ("model_type", "gpt2"),
        ("model_type", "bert"),
        ("model_type", "clip"),
        ("model_type", "whisper"),
        ("architectures", None),
        ("architectures", []),
        ("architectures", "XLMRobertaModel"),
        ("architectures", ["NoSuchModel"]),
        ("architectures", [3]),
        ("architectures", ["XLMRobertaForSequenceClassification"]),
        ("dtype", "no-such"),
        ("dtype", "int8"),
        ("torch_dtype", 3),
        ("is_decoder", True),
        ("is_encoder_decoder", True),
        ("add_cross_attention", True),
        ("quantization_config", {}),
        ("quantization_config", {"quant_method": "gptq", "bits": 4}),
        ("quantization_config", "x"),
        ("auto_map", {"AutoModel": "modeling_x.X"}),
        ("auto_map", 3),
        ("position_embedding_type", "no-such"),
        ("chunk_size_feed_forward", 7),
        ("hidden_dropout_prob", 2.0),
        ("hidden_dropout_prob", "x"),
        ("initializer_range", -1),
        ("pruned_heads", {"0": [0]}),
        ("tie_word_embeddings", "x"),
        ("transformers_version", "99.0.0"),
        ("id2label", {"0": "a"}),
        ("num_labels", 10**9),
        ("output_hidden_states", "x"),
        ("return_dict", False),
        ("use_cache", None),
        ("_attn_implementation", "no-such"),
        ("attn_implementation", "flash_attention_2"),
        ("tokenizer_class", "NoSuchTokenizer"),
    ]
}
FILES: dict[str, Change] = {
    "config.json is null": write("config.json", "null"),
    "config.json is a list": write("config.json", "[]"),
    "config.json is empty": write("config.json", ""),
    "config.json is deep": write("config.json", '{"a":' * 3000 + "1" + "}" * 3000),
    "config.json is no text": write("config.json", b"\xff\xfe{"),
    "config.json has a byte order mark": lambda folder: (folder / "config.json").write_bytes(
        b"\xef\xbb\xbf" + (folder / "config.json").read_bytes()
    ),
    "config.json is a folder": folder_instead("config.json"),
    "no config.json": without("config.json"),
    "no weights": without("model.safetensors"),
    "no tokenizer.json": without("tokenizer.json"),
    "no tokenizer_config.json": without("tokenizer_config.json"),
    "weights are a folder": folder_instead("model.safetensors"),
    "weights are empty": write("model.safetensors", b""),
    "weights are 7 bytes": write("model.safetensors", b"\x07" * 7),
    "weights cut early": cut("model.safetensors", 0.01),
    "weights cut late": cut("model.safetensors", 0.99),
    "weights with a longer file": lambda folder: (folder / "model.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes() + b"x" * 100
    ),
    "a header of 2^63 bytes": write("model.safetensors", struct.pack("<Q", 2**63) + b"{}"),
    "a header that is no JSON": write("model.safetensors", struct.pack("<Q", 4) + b"{{{{"),
    "a header without tensors": write("model.safetensors", struct.pack("<Q", 2) + b"{}"),
    "offsets that overlap": header(
        lambda found: found[LAYER].__setitem__("data_offsets", [0, 8192])
    ),
    "offsets beyond the end": header(
        lambda found: found[LAYER].__setitem__("data_offsets", [0, 2**40])
    ),
    "a dtype that is unknown": header(lambda found: found[LAYER].__setitem__("dtype", "Q4")),
    "a shape below zero": header(lambda found: found[LAYER].__setitem__("shape", [-1, 64])),
    "an index to a pickle": index({LAYER: "weights.bin"}),
    "an index outside": index({LAYER: "../model.safetensors"}),
    "an index to nothing": index({LAYER: "none.safetensors"}),
    "an index of numbers": index({LAYER: 3}),
    "an index that is empty": index({}),
    "an index that is null": write("model.safetensors.index.json", "null"),
    "an adapter alone": lambda folder: (
        (folder / "model.safetensors").rename(folder / "adapter_model.bin"),
        (folder / "adapter_config.json").write_text("{}"),
    ),
    "a second file of weights": lambda folder: shutil.copy(
        folder / "model.safetensors", folder / "other.safetensors"
    ),
    "a pickle that runs code": pickled({"embeddings.weight": Bomb()}),
    "a pickle of a string": pickled("x"),
    "a pickle of nothing": write("pytorch_model.bin", b""),
    "a pickle without prefix": as_torch_file(lambda found: None),
    "a pickle with a NaN": as_torch_file(one(float("nan"))),
    "a pickle with one missing": as_torch_file(lambda found: found.pop(LAYER)),
}
WEIGHTS: dict[str, Change] = {
    "one NaN": weights(one(float("nan"))),
    "one infinity": weights(one(float("-inf"))),
    "all zeros": weights(
        lambda found: found.update({key: torch.zeros_like(found[key]) for key in list(found)})
    ),
    "huge numbers": weights(
        lambda found: found.update({key: found[key] * 1e30 for key in list(found)})
    ),
    "one missing": weights(lambda found: found.pop(LAYER)),
    "one more": weights(lambda found: found.update({"x.y": torch.zeros(3)})),
    "a prefix": weights(
        lambda found: found.update({f"x.{key}": found.pop(key) for key in list(found)})
    ),
    "a known prefix": weights(
        lambda found: found.update({f"roberta.{key}": found.pop(key) for key in list(found)})
    ),
    "no pooler": weights(lambda found: [found.pop(key) for key in list(found) if "pooler" in key]),
    "transposed": weights(lambda found: found.update({LAYER: found[LAYER].T.contiguous()})),
    "a vector": weights(lambda found: found.update({LAYER: found[LAYER].flatten()})),
    "nothing in one": weights(lambda found: found.update({LAYER: torch.zeros(0, 64)})),
    "integers": weights(lambda found: found.update({LAYER: found[LAYER].to(torch.int8)})),
    "booleans": weights(lambda found: found.update({LAYER: found[LAYER] > 0})),
    "complex": weights(lambda found: found.update({LAYER: found[LAYER].to(torch.complex64)})),
    "double": weights(
        lambda found: found.update({key: found[key].double() for key in list(found)})
    ),
    "half": weights(lambda found: found.update({key: found[key].half() for key in list(found)})),
    "an embedding too short": weights(
        lambda found: found.update(
            {
                "embeddings.word_embeddings.weight": found["embeddings.word_embeddings.weight"][
                    :100
                ].contiguous()
            }
        )
    ),
}
TOKENIZERS: dict[str, Change] = {
    "tokenizer.json is empty": write("tokenizer.json", ""),
    "tokenizer.json is null": write("tokenizer.json", "null"),
    "tokenizer.json is a list": write("tokenizer.json", "[]"),
    "tokenizer.json is a folder": folder_instead("tokenizer.json"),
    "tokenizer.json cut": cut("tokenizer.json", 0.5),
    "tokenizer_config.json is a list": write("tokenizer_config.json", "[]"),
    "tokenizer_config.json is null": write("tokenizer_config.json", "null"),
    "tokenizer_config.json is no JSON": write("tokenizer_config.json", "{"),
    "tokenizer_config.json of another class": write(
        "tokenizer_config.json", '{"tokenizer_class": "NoSuchTokenizer"}'
    ),
    "tokenizer_config.json of BERT's class": write(
        "tokenizer_config.json", '{"tokenizer_class": "BertTokenizer"}'
    ),
    "a length of -1": write("tokenizer_config.json", '{"model_max_length": -1}'),
    "a length of a word": write("tokenizer_config.json", '{"model_max_length": "x"}'),
    "no pieces": tokenizer(lambda found: found["model"].update(vocab=[])),
    "one piece": tokenizer(lambda found: found["model"].update(vocab=found["model"]["vocab"][:1])),
    "pieces without scores": tokenizer(
        lambda found: found["model"].update(vocab=[piece for piece, _ in found["model"]["vocab"]])
    ),
    "scores of words": tokenizer(
        lambda found: found["model"].update(vocab=[[p, "x"] for p, _ in found["model"]["vocab"]])
    ),
    "a piece twice": tokenizer(
        lambda found: found["model"]["vocab"].append(found["model"]["vocab"][50])
    ),
    "more pieces than rows": tokenizer(
        lambda found: found["model"]["vocab"].extend([[f"piece{n}", -9.0] for n in range(300)])
    ),
    "an unknown id that is not there": tokenizer(lambda found: found["model"].update(unk_id=10**6)),
    "no unknown id": tokenizer(lambda found: found["model"].update(unk_id=None)),
    "no post-processor": tokenizer(lambda found: found.update(post_processor=None)),
    "no pre-tokenizer": tokenizer(lambda found: found.update(pre_tokenizer=None)),
    "no added tokens": tokenizer(lambda found: found.update(added_tokens=[])),
    "a model of words": tokenizer(lambda found: found["model"].update(type="WordLevel")),
    "a model that is unknown": tokenizer(lambda found: found["model"].update(type="Other")),
    "a normaliser that is unknown": tokenizer(
        lambda found: found.update(normalizer={"type": "Other"})
    ),
    "a normaliser that takes all away": tokenizer(
        lambda found: found.update(
            normalizer={"type": "Replace", "pattern": {"Regex": "."}, "content": ""}
        )
    ),
    "truncation baked in": tokenizer(
        lambda found: found.update(
            truncation={
                "direction": "Right",
                "max_length": 4,
                "strategy": "LongestFirst",
                "stride": 0,
            }
        )
    ),
    "padding baked in": tokenizer(
        lambda found: found.update(
            padding={
                "strategy": {"Fixed": 50},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 1,
                "pad_type_id": 0,
                "pad_token": "<pad>",
            }
        )
    ),
    "special tokens elsewhere": tokenizer(
        lambda found: found["model"]["vocab"].insert(0, ["first", -1.0])
    ),
}
SENTENCE: dict[str, Change] = {
    "modules.json is null": write("modules.json", "null"),
    "modules.json is no JSON": write("modules.json", "{"),
    "modules.json names nothing": write("modules.json", '[{"path": "9_None", "type": "x"}]'),
    "modules.json of numbers": write("modules.json", "[1, 2]"),
    "modules.json outside": write(
        "modules.json", '[{"path": "../..", "type": "sentence_transformers.models.Pooling"}]'
    ),
    "sentence_bert_config.json is a list": write("sentence_bert_config.json", "[]"),
    "config_sentence_transformers.json is no JSON": write("config_sentence_transformers.json", "{"),
}
CHANGES = {**SIZED, **KEYS, **FILES, **WEIGHTS, **TOKENIZERS, **SENTENCE}
SHORT = {"integers", "num_hidden_layers = 1000000000000", "an index outside"}
REFUSED = {
    *(f"{key} = {value}" for key in SIZES for value in ("'x'", "-1", "1000000000000", "[]")),
    *("complex", "pad_token_id = None", "return_dict = False"),
    *("one NaN", "one infinity", "one missing", "a prefix", "transposed", "a vector"),
    *("a pickle that runs code", "a pickle with a NaN", "a pickle with one missing"),
    *("an index to a pickle", "an index outside", "is_decoder = True", "an adapter alone"),
    *("weights cut early", "weights cut late", "an embedding too short", "integers", "booleans"),
}
"""What may not pass for a model."""


@pytest.fixture
def teacher(mini: Mini, tiny_teacher: Path, tmp_path: Path) -> Path:
    """A copy of the teacher, with a recipe beside it."""
    shutil.copytree(tiny_teacher, tmp_path / "teacher")
    recipe = yaml.safe_load(mini.recipe.read_text())
    recipe["teacher"]["model"] = "./teacher"
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path / "teacher"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(name, id=name, marks=[pytest.mark.short] if name in SHORT else [])
        for name in CHANGES
    ],
)
def test_a_teacher_that_is_not_what_it_says_is_refused_or_trimmed_exactly(
    teacher: Path, case: str
) -> None:
    CHANGES[case](teacher)
    arguments = ("recipe", "mini.yaml", "--until", "student")
    done = distill_in(teacher.parent, *arguments, timeout=60, **NO_STORE)
    assert not Path("/tmp/trust-bomb").exists()
    if done.returncode:
        assert is_told(done), done.stderr
    else:
        assert case not in REFUSED
        rows_are_the_teachers(teacher, teacher.parent / "runs" / "mini" / "vocabulary" / "model")


def rows_are_the_teachers(teacher: Path, trimmed: Path) -> None:
    """Every weight of the trimmed model but the embeddings is, to the bit, one of the teacher."""
    file, *_ = [*teacher.glob("model.safetensors"), *teacher.glob("pytorch_model.bin")]
    given = load_file(file) if file.suffix == ".safetensors" else torch.load(file)
    given = {key.removeprefix("roberta."): value for key, value in given.items()}
    for key, value in load_file(trimmed / "model.safetensors").items():
        key = key.removeprefix("roberta.")
        if "word_embeddings" not in key and "pooler" not in key and "lm_head" not in key:
            assert torch.equal(value.float(), given[key].float()), key
