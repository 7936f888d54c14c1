"""Feed bytes to the framings, guided by coverage: ``python fuzz_framing.py -max_total_time=20``."""

import sys

import atheris

with atheris.instrument_imports(
    include=["gc_warm.worker.program.framing", "gc_warm.worker.program.console", "json"]
):
    from gc_warm import JsonLines, Prompt, Sentinel
    from gc_warm.errors import GcWarmError

LIMIT = 2000
FRAMINGS = [
    JsonLines(max_answer=LIMIT),
    JsonLines(ready=False, max_answer=LIMIT),
    Sentinel('print("{token}")', error_pattern="^error: ", prompt="> ", max_answer=LIMIT),
    Sentinel('print("{token}")', echo=True, with_stderr=True, max_answer=LIMIT),
    Prompt("^> ", error_pattern="^error: ", max_answer=LIMIT),
    Prompt("^> ", each_line=True, continuation=r"\.\.\. ", echo=True, max_answer=LIMIT),
]


def try_bytes(data: bytes) -> None:
    source = atheris.FuzzedDataProvider(data)
    dialogue = source.PickValueInList(FRAMINGS).open("program")
    sent = dialogue.greet()
    while source.remaining_bytes():
        try:
            if source.ConsumeBool():
                _, sent = dialogue.ask("go\non")
            if source.ConsumeBool():  # what it would say itself, cut anywhere
                piece = sent[: source.ConsumeIntInRange(0, len(sent))]
            else:
                piece = source.ConsumeBytes(source.ConsumeIntInRange(0, 200))
            answers = dialogue.receive(piece)
        except GcWarmError:
            return
        assert len(dialogue._buffer) <= LIMIT
        assert len(dialogue._other) <= 2 * LIMIT + 200
        for answer in answers:
            assert answer.number >= 0


atheris.Setup(sys.argv, try_bytes)
atheris.Fuzz()
