"""`python -m distill compare-vocabularies`: two models and text go in; a table and a sentence come
out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import BertConfig, XLMRobertaConfig

from distill.vocabulary.families import open_vocabulary
from tests.conftest import swedish_sentences
from tests.vocabulary.conftest import close
from tests.vocabulary.tokenizers_of_each_family import tokenizer_of

Distill = Callable[..., subprocess.CompletedProcess[str]]
SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A teacher's configuration and tokenizer, two trimmings of it, and a model of another family,
    without weights; held-out text.
    """
    teacher = tokenizer_of("unigram")
    vocabulary = open_vocabulary(teacher)
    made = {"teacher": teacher, "other": tokenizer_of("wordpiece, cased")}
    for name, count in (("large", 300), ("small", 12)):
        used = vocabulary.encode(swedish_sentences(count, seed=1))
        kept = sorted(close(teacher, {i for ids in used for i in ids}))
        made[name] = vocabulary.trim({old: new for new, old in enumerate(kept)})
    for name, tokenizer in made.items():
        kind = BertConfig if name == "other" else XLMRobertaConfig
        kind(vocab_size=len(tokenizer), **SHAPE).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    lines = [*swedish_sentences(300, seed=9), "Kungen ser ꙮ."]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_both_stand_side_by_side_and_the_last_line_tells_the_difference(
    folders: Path, distill: Distill
) -> None:
    done = distill(
        *("compare-vocabularies", "large", "./small", "--text", "text.txt"),
        *("--teacher", "teacher", "--json", "figures/both.json"),
    )
    assert done.returncode == 0, done.stderr
    said = json.loads((folders / "figures" / "both.json").read_text(encoding="utf-8"))
    assert said["models"] == {"A": "large", "B": "./small", "teacher": "teacher"}
    first, second = said["comparison"]["first"], said["comparison"]["second"]
    assert said["embedding_parameters"]["A"] == 16 * first["pieces"]
    assert first["identical"]["value"] > second["identical"]["value"]
    *lines, last = done.stdout.splitlines()
    assert lines[:3] == ["A: large", "B: ./small", "teacher: teacher"]
    assert last.startswith(
        f"A keeps {first['identical']['value']:.1%} of 301 sentences as the teacher writes them, "
        f"B {second['identical']['value']:.1%}; "
    )
    assert "points more (" in last
    (pieces,) = (line.split() for line in lines if line.startswith("pieces"))
    assert pieces[1:3] == [str(first["pieces"]), str(second["pieces"])]
    assert any(line.startswith("sentences identical") for line in lines)


def test_vocabularies_of_two_families_need_no_teacher(folders: Path, distill: Distill) -> None:
    done = distill("compare-vocabularies", "large", "other", "--text", "text.txt")
    assert done.returncode == 0, done.stderr
    assert "teacher" not in done.stdout
    assert done.stdout.endswith("; not told apart by these sentences.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "small", "--text", "text.txt"], "A: there is no folder none;"),
        (["large", "./none", "--text", "text.txt"], "B: there is no folder ./none;"),
        (["large", "bare", "--text", "text.txt"], "B: the tokenizer of ./bare has no pieces;"),
        (
            ["large", "small", "--text", "text.txt", "--teacher", "./none"],
            "--teacher: there is no folder ./none;",
        ),
        (["large", "small", "--text", "none.txt"], "source none.txt: there is no such file."),
        (["large", "small", "--text", "empty.txt"], "source empty.txt: it is empty."),
        (["large", "small", "--text", "marks.txt"], "--text: marks.txt has no sentence"),
        (["large", "small", "--text", "binary.txt"], "source binary.txt: 2 of 2 lines are not"),
        (
            ["large", "small", "--text", "picture.png"],
            "source picture.png: the name picture.png does not tell its format; it should end in",
        ),
        (
            ["large", "small", "--text", "text.txt", "--json", "large"],
            "--json: large is a folder; name a file.",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    folders: Path, distill: Distill, arguments: list[str], message: str
) -> None:
    (folders / "bare").mkdir()
    shutil.copy(folders / "large" / "config.json", folders / "bare")
    (folders / "empty.txt").write_text("", encoding="utf-8")
    (folders / "marks.txt").write_text("\u200b\n", encoding="utf-8")
    for name in ("binary.txt", "picture.png"):
        (folders / name).write_bytes(b"\xff\xfe\x00\x81\n\xff\xc0")
    done = distill("compare-vocabularies", *arguments)
    assert done.returncode == 2, done.stdout
    assert done.stderr.strip().splitlines()[-1].startswith(message)
    assert "Traceback" not in done.stderr
