"""The code of a function, from the text of its definition alone."""

from __future__ import annotations

import ast
import linecache
import types
from typing import Any

ANNOTATIONS = 0x1000000  # a code's flag, and compile's: `from __future__ import annotations`


def compiled(what: dict[str, Any]) -> types.CodeType:
    """Return the code of a function, from the text of its definition alone.

    The text is never changed, however it is indented; what it needs around it is added to its tree.
    Decorators, defaults and annotations are dropped: they have run where the function was defined.

    Args:
        what: What a function node says of its code: ``text`` is its lines from ``def`` on, or a
            lambda expression; ``file`` and ``line`` where it is written; ``code`` its name in its
            code; ``outer`` the name of the class around it, if any, which ``super()`` and names
            like ``__x`` need; ``free`` the local variables around it that it uses; ``annotations``
            whether ``from __future__ import annotations`` holds for it; ``imported``, if there, the
            names it uses that its file imports: some Pythons compile their use differently.
    """
    node: Any
    text, name, outer, free = (what[key] for key in ("text", "code", "outer", "free"))
    indented = len(text) - len(text.lstrip())
    text = text[text.rfind("\f", 0, indented) + 1 :]  # where a form feed stands, a line begins
    if name == "<lambda>":
        node = ast.parse(f"({text}\n)", mode="eval").body
        inner: Any = ast.Expr(node)
    elif text[0].isspace():
        inner = node = ast.parse("if 1:\n" + text).body[0].body[0]
    else:
        inner = node = ast.parse(text).body[0]
    ast.increment_lineno(node, what["line"] - node.lineno)
    arguments = node.args
    arguments.defaults, arguments.kw_defaults = [], [None] * len(arguments.kwonlyargs)
    node.decorator_list, node.returns = [], None
    for each in ast.walk(arguments):
        if isinstance(each, ast.arg):
            each.annotation = None
    parameters = ",".join(each for each in free if not (outer and each == "__class__"))
    shell: Any = ast.parse(f"def _({parameters}):\n class {outer or '_'}:0")
    function = shell.body[0]
    if outer:
        function.body[0].body = [inner]
    else:
        function.body = [inner]
    bound = outer or name
    if bound not in free and bound != "<lambda>":  # where it is used within, it is a global name
        function.body.insert(0, ast.Global([bound]))
    shell.body += [ast.Import([ast.alias(each)]) for each in what.get("imported", ())]
    flags = ANNOTATIONS if what["annotations"] else 0
    code = compile(ast.fix_missing_locations(shell), what["file"], "exec", flags, dont_inherit=True)
    found = _codes_in(_codes_in(code)[0])
    if outer:
        found = _codes_in(found[0])
    while found[0].co_name != name:  # def name[T](...): is in a scope of its own
        found = _codes_in(found[-1])
    return found[0]


def _codes_in(code: types.CodeType) -> list[types.CodeType]:
    return [each for each in code.co_consts if isinstance(each, types.CodeType)]


def show(file: str, line: int, text: str) -> None:
    """Make tracebacks show a function's lines, whatever a file of that name holds here."""
    lines = [*linecache.cache[file][2]] if len(linecache.cache.get(file, ())) > 1 else []  # type: ignore[misc]
    new = [each + "\n" for each in text.split("\n")]
    lines += ["\n"] * (line - 1 + len(new) - len(lines))
    lines[line - 1 : line - 1 + len(new)] = new
    linecache.cache[file] = (len(lines), None, lines, file)
