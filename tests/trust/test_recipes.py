"""A recipe that was changed in any way is run, or refused in sentences that name what is wrong."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.trust.mini import Mini, distill_in, is_told

COUNT = 250
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1e308, float("nan"), float("inf"), 10**400),
    *("", " ", "x", "åäö", "../..", "/", "\x00", "${NO_SUCH_NAME}", "10M", "1e3", "-0", "null"),
    *([], [None], [[]], [1, 2], ["student"], {}, {"a": 1}, {"": ""}, {"path": "x"}, "x" * 10_000),
    *(list(range(1000)), "2026-01-01", "\ud800".encode("utf-8", "surrogatepass").hex(), "sv\n"),
)
TEXTS = (
    *("&a [*a]\n", "? [a, b]\n: c\n", "!!python/object/apply:os.system ['true']\n", "%YAML 9.9\n"),
    *(
        "\t- x\n",
        "--- \n---\n",
        "{" * 500,
        "[" * 5000,
        "'",
        '"\\x"',
        "<<: *none\n",
        "\x07",
        "é: è\n",
    ),
)


def paths_in(content: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where values stand in nested mappings and lists."""
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    else:
        items = []
    below = [path for key, value in items for path in paths_in(value, (*prefix, key))]
    return [*([prefix] if prefix else []), *below]


def mutate(text: str, draw: random.Random) -> tuple[str, str]:
    """The recipe with one or two things changed, and what was done."""
    kind = draw.choice(["value"] * 5 + ["key"] * 2 + ["remove", "duplicate", "bytes", "text"])
    if kind == "bytes":
        start = draw.randrange(len(text))
        end = start + draw.randrange(1, 30)
        drawn = "".join(draw.choice(string.printable) for _ in range(draw.randrange(5)))
        return text[:start] + drawn + text[end:], f"{drawn!r} for characters {start} to {end}"
    if kind == "text":
        added = draw.choice(TEXTS)
        return (text + added, f"{added[:20]!r} after it")
    content = yaml.safe_load(text)
    path = draw.choice(paths_in(content))
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    name = ".".join(map(str, path))
    if kind == "value":
        holder[path[-1]] = value = draw.choice(VALUES)
        said = f"{name} = {str(value)[:20]!r}"
    elif kind == "key":
        key = draw.choice(["modle", "Path", "", "0", "path ", "tokens", "seed", "x" * 300])
        target = holder[path[-1]] if isinstance(holder[path[-1]], dict) else content
        target[key] = draw.choice(VALUES)
        said = f"another key {key[:10]!r} beside {name}"
    elif kind == "remove":
        del holder[path[-1]]
        said = f"without {name}"
    else:
        target = holder if isinstance(holder, list) else content
        if isinstance(holder, list):
            target.append(holder[path[-1]])
        else:
            target["corpus"]["sources"] *= 2
        said = f"twice {name}"
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False), said


def mutated(number: int, text: str) -> tuple[str, str]:
    draw = random.Random(number)
    changed, said = mutate(text, draw)
    return changed, said


SKELETON = Path(__file__).with_name("recipe.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            number,
            id=f"{number}: {mutated(number, SKELETON)[1]}".encode("ascii", "replace").decode(),
            marks=[pytest.mark.short] if number in (3, 17) else [],
        )
        for number in range(COUNT)
    ],
)
def test_a_mutated_recipe_is_run_or_refused(mini: Mini, tmp_path: Path, number: int) -> None:
    changed, said = mutated(number, SKELETON)
    for name in ("teacher", "t.jsonl", "faq.jsonl"):
        target = Path(yaml.safe_load(mini.recipe.read_text())["teacher"]["model"])
        (tmp_path / name).symlink_to(target if name == "teacher" else mini.recipe.parent / name)
    (tmp_path / "mini.yaml").write_text(changed, encoding="utf-8")
    done = distill_in(tmp_path, "recipe", "mini.yaml", "--dry-run", timeout=60)
    assert done.returncode in (0, 2), f"{said}: {done.stderr}"
    assert done.returncode == 0 or is_told(done), f"{said}: {done.stderr}"
    assert not (tmp_path / "runs").exists()
