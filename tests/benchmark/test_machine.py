"""The machine that figures were taken on (distill/benchmark/machine.py)."""

from __future__ import annotations

import platform

from distill.benchmark.machine import describe_machine, describe_processor

CPUINFO = """\
processor\t: 0
model name\t: Some Processor
flags\t\t: fpu sse avx2 {flags}

processor\t: 1
model name\t: Some Processor
flags\t\t: fpu
"""


def test_a_processor_is_named_with_its_vector_instructions() -> None:
    assert describe_processor(CPUINFO.format(flags="")) == "Some Processor AVX2"
    newer = CPUINFO.format(flags="avx512f avx512_vnni avx512_bf16 amx_tile")
    assert describe_processor(newer) == "Some Processor AVX2 AVX-512 VNNI BF16 AMX"


def test_a_processor_that_tells_no_name_is_called_by_its_architecture() -> None:
    assert describe_processor("") == (platform.processor() or platform.machine())
    assert describe_machine().processor
