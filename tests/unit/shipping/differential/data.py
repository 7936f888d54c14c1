"""Data, and what changes them."""

from __future__ import annotations

from .kinds import (
    ANY,
    BUILTIN,
    CLASS,
    DICT,
    FUNCTION,
    INT,
    LIST,
    MODULE,
    NOTHING,
    PARTIAL,
    SENTINEL,
    SET,
    STR,
    TUPLE,
    add,
    kind_of,
)

# Data

add("<d> = <int>", d=INT, times=4)
add("<d> = <str>", d=STR, times=2)
add("<d> = [<int>, <int>]", d=LIST, times=4)
add("<d> = {'a': <int>, 'b': [<int>]}", d=DICT, times=3)
add("<d> = {<int>, <int>, 7}", d=SET)
add("<d> = (<int>, [<int>], <str>)", d=TUPLE)
add("<d> = <literal>", d=ANY, times=3)
add("<d> = <e> = [<int>]", d=LIST, e=LIST)
add("<d> = <a_mutable>", d="a_mutable", times=3)
add("<d> = [<int>]\n<e> = {'a': <d>, 'b': [<d>]}", d=LIST, e=DICT, times=2)
add("<d> = [<a_mutable>, <a_mutable>]", d=LIST)
add("<d> = <now>", d=ANY, times=3)
add("<d> = len(<a_list>)", d=INT)
add("import random\n<d> = random.random()", d=ANY)
add("import time\n<d> = time.time()", d=ANY)
add("<d>, *<e> = range(<int>, 9)", d=INT, e=LIST)
add("for <d> in range(3):\n    <e> = [<d>]", d=INT, e=LIST)
add("for <d> in []:\n    pass")
add("import io\nwith io.StringIO('ab') as stream:\n    <d> = stream.read()\ndel stream", d=STR)
add("try:\n    <d> = {}['a']\nexcept KeyError as error:\n    <d> = str(error)", d=STR)
add("<e> = [(<d> := i) for i in range(<int>, 9)]", d=INT, e=LIST)
add("if (<d> := <int>) > 3:\n    <e> = ['more']\nelse:\n    <e> = []", d=INT, e=LIST)
add("assert (<d> := <int>) is not None", d=INT)
add("while True:\n    <d> = <int>\n    break", d=INT)
add("match <int>:\n    case 100:\n        <d> = 0\n    case <d>:\n        pass", d=INT)
add("<d>: int = <int>\n<e>: list[int]", d=INT)
add("from math import *", fixed={"floor": BUILTIN, "pi": ANY, "e": ANY}, times=2)
add("from math import floor as <f>", f=BUILTIN)
add("import math as <d>", d=MODULE)
add("import os.path\nimport collections.abc", fixed={"os": kind_of("", "os.path.basename('a/b')")})
add(
    "import collections.abc",
    fixed={"collections": kind_of("", "isinstance([], collections.abc.Sized)")},
)
add("try:\n    import no_such_module as <d>\nexcept ImportError:\n    <d> = None", d=ANY)
add("<d> = object()", d=SENTINEL)
add("<d> = object()\ndef <f>(x, k=<d>):\n    return k is <d>", d=SENTINEL, f=FUNCTION)
for made in (
    *("from decimal import Decimal\n<d> = Decimal('1.10')", "import re\n<d> = re.compile('a+')"),
    "from fractions import Fraction\n<d> = Fraction(1, <int> + 1)",
    "import datetime\n<d> = datetime.date(2024, 2, 29)",
    "from pathlib import Path\n<d> = Path('a') / <str>",
    "from collections import deque\n<d> = deque([<int>], maxlen=3)",
    "from collections import Counter\n<d> = Counter('aab')",
    "from collections import defaultdict\n<d> = defaultdict(list, a=[<int>])",
    "from collections import OrderedDict\n<d> = OrderedDict(b=1, a=<int>)",
    "from types import SimpleNamespace\n<d> = SimpleNamespace(a=<int>)",
    "<d> = range(<int>, 20)",
    "<d> = bytearray(b'ab')",
):
    add(made, d=ANY)
for made in (
    *(
        "import threading\n<d> = threading.Lock()",
        "<d> = iter([1, <int>])",
        "<d> = (i for i in 'ab')",
    ),
    *("import logging\n<d> = logging.getLogger('program')", "<d> = memoryview(b'ab')"),
    "from typing import TypeVar\n<d> = TypeVar('<d>')",
    "from contextvars import ContextVar\n<d> = ContextVar('<d>')",
    "from types import MappingProxyType\n<d> = MappingProxyType({'a': <int>})",
    "<d> = [<int>]\n<d>.append(<d>)",
    "<d> = {}\n<d>['self'] = [<d>]",
    "<d> = compile('1', 'text', 'eval')",
):
    add(made, d=SENTINEL, ordinary=False)
add("Number = int | float\ndef <f>(x: Number) -> Number:\n    return x * <int>", f=FUNCTION)

# What changes data

add("<a_list>.append(<int>)", times=3)
for change in (
    *("<a_list>.extend([<int>, 1])", "<a_list>.insert(0, <str>)", "<a_list> += [<int>]"),
    *("<a_list>.append([<int>])", "<a_list>[:1] = [<int>, 'new']", "del <a_list>[:1]"),
    *("<a_list>.sort(key=str)", "<a_list>.clear()", "[<a_list>.append(i) for i in range(2)]"),
    *("for i in range(2):\n    <a_list>.append(i)", "<a_list> = <a_list> + [<int>]"),
    *("<a_dict>['c'] = <now>", "<a_dict>.setdefault('x', {})['k'] = <int>", "<a_dict> |= {'z': 1}"),
    *("<a_dict>.update(a=<int>)", "<a_dict>.pop('a', None)", "<a_set>.add(<int>)"),
    *("<a_set>.discard(7)", "<an_int> += <int>", "<an_int> = <an_int> * 2 if <an_int> else 1"),
    "def change():\n    <a_list>.append('changed')\nchange()",
    "def change(found):\n    <a_dict>['by'] = <int>\n    return found\n@change\ndef changed(): ...",
):
    add(change)
add("def change():\n    global <d>\n    <d> = <int>\nchange()", d=INT, times=3)
add(
    "def change(function):\n    global <d>\n    <d> = <int>\n    return function\n"
    "@change\ndef changed(): ...",
    d=INT,
)
add(
    "class Setter:\n    @property\n    def now(self):\n        global <d>\n        <d> = <int>\n"
    "Setter().now",
    d=INT,
)
add("<an_instance>.value = <now>")
add("<an_instance>.extra = [<int>]")
add("del <a_name>", times=2)
add("<d> = <int>\ndel <d>\n<d> = [<int>]", d=LIST)
add("<d> = <str>\n<e> = 1 / 0\n<e> = <int>", d=STR, cell=True, times=3)

# How it is written

add("<d> = <int>; <e> = [<d>]; k = 1", d=INT, e=LIST, fixed={"k": INT})
add("if True:\n\t<d> = <int>\n\tdef <f>(x):\n\t\treturn x, <d>", d=INT, f=FUNCTION, level=3)
add("def <f>(x):\n  # é ü\n  größe = <use>; return 'é', größe", f=FUNCTION)
add(
    "class <C>: scale = 1; total = lambda self: 'short'; __init__ = lambda self, value: None",
    C=CLASS,
)
add("'''A text\non its own.'''\n<d> = 'a' \\\n    'b'", d=STR)
add(
    "def <f>(\n    x,\n    k=(\n        1,\n        2,\n    ),\n):\n    return x, k, <use>",
    f=FUNCTION,
)
add('if __name__ == "__main__":\n    <d> = <int>', d=INT)
add('if __name__ == "__main__":\n    <submit>', times=3)
add(
    "from functools import partial\nif __name__ == '__main__':\n    <f> = partial(<a_lower>, 2)",
    f=PARTIAL,
)
add("\x0cdef <f>(x):\n    return 'a\x0cb\x1cc\u2028d\x85', <use>", f=FUNCTION, ordinary=False)
add(
    "<d> = 'a\u2028b\x1c'  # \u2028 \x1d\n\x0c\n<e> = '''\x0c\x1e\n'''",
    d=STR,
    e=STR,
    ordinary=False,
)

# More values

for made in (
    "from typing import Literal, Optional\n<d> = [Optional[int], Literal[1], list[int]]",
    "from typing import Callable, Any\n<d> = dict[str, Callable[[int], Any]]",
    "import datetime\n<d> = datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)",
    "import operator\n<d> = [operator.add, len, str.upper, int.from_bytes, [].append.__name__]",
    "import uuid\n<d> = uuid.UUID(int=<int> + 9)",
    "from array import array\n<d> = array('d', [<int>, 1.5])",
    "try:\n    raise KeyError(1) from ValueError(2)\nexcept KeyError as error:\n    <d> = error",
    "<d> = {frozenset({1, 2, 300}): {10**6, 2, -1}, ('a',): {1.5, 2**70}}",
    "<d> = [float('nan')] * 2 + [-0.0, 1e308 * 10, 0.1 + 0.2, 1e-320]",
    "<d> = 'quote\\' \"both\" \\\\ back \\x00 \\ud83d \U0001f600'",
    "<d> = [True, 1, 1.0, 1 + 0j, '1', b'1']",
    "<d> = {True: 'a', 2: 'b', 3.0: 'c'}",
    "import string\n<d> = string.Template('$a')",
    "<d> = slice(1, <int>), range(3)[::-1], ..., NotImplemented",
    "import itertools\n<d> = list(itertools.product('ab', [<int>]))",
    "from functools import reduce\n<d> = reduce(lambda a, b: a * 2 + b, range(5), <int>)",
):
    add(made, d=ANY)
add("<d> = <e> = {}\n<d>['me'] = <e>\n<e>['list'] = [<d>]", d=SENTINEL, e=SENTINEL, ordinary=False)
add("<d> = [[]] * 3\n<d>[0].append(<int>)", d=LIST)
add("<d> = ([<int>],) * 2", d=kind_of("data", "{n}", "{n}[0] is {n}[1]"))
add("<d> = [<int>]\n<e> = (<d>, (<d>, {'k': <d>}))", d=LIST, e=TUPLE)
add(
    "class Kept(list):\n    note = 'n'\n<d> = Kept([<int>])\n<d>.note = [<d>[0]]",
    d=kind_of("list mutable data", "{n}", "{n}.note", "len({n})"),
    fixed={"Kept": NOTHING},
)
add(
    "class Table(dict):\n    def __missing__(self, key):\n        return ('missing', key, <int>)\n"
    "<d> = Table(a=1)",
    d=kind_of("dict mutable data", "{n}", "{n}[{x}]", "{n}['a']"),
    fixed={"Table": NOTHING},
)
