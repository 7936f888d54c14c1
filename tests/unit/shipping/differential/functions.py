"""Functions, and what is done to them."""

from __future__ import annotations

from .kinds import (
    BUILTIN,
    CACHED,
    CALLABLE,
    CLASS,
    DISPATCH,
    FUNCTION,
    NAMED,
    NOTHING,
    ONCE,
    PARTIAL,
    STR,
    add,
    kind_of,
)

# Functions that read

add("def <f>(x):\n    return x, <use>", f=FUNCTION, times=6)
add("def <f>(x):\n    return x, <use>, <use>, <use>", f=FUNCTION, times=6)
add("def <f>(x):\n    return <same>, <same>, <use>", f=FUNCTION, times=3, level=4)
add("def <f>(x, k=<now>):\n    return x, k, <use>", f=FUNCTION, times=3)
add("def <f>(x, *rest, k=<now>, **more):\n    return x, rest, k, more", f=FUNCTION)
add("def <f>(x: int = <int>, /) -> list:\n    return [x, <use>]", f=FUNCTION)
add("def <f>(x, k=<a_mutable>):\n    return k is <a_mutable>, k, x", f=FUNCTION)
add("def <f>(x): return [x, <use>]", f=FUNCTION)
add("<f> = lambda x: (x, <use>)", f=FUNCTION)
add("<f> = lambda x, k=<now>: (x, k)", f=FUNCTION)
add("<f>, <g> = lambda x: x + <int>, lambda x: [x, <use>]", f=FUNCTION, g=FUNCTION)
add("<f>, <g> = (lambda x: [x, <use>]), (lambda x: [x, <use>])", f=FUNCTION, g=FUNCTION)
add("<f>, <g> = [lambda x, i=i: x * i for i in range(3, 5)]", f=FUNCTION, g=FUNCTION)
add("<f>, <g> = [lambda x: (x, i) for i in range(2)]", f=FUNCTION, g=FUNCTION)
add("for i in range(3):\n    <f> = lambda x, i=i: (x, i)\ni = <int>", f=FUNCTION)
add("for i in range(3):\n    def <f>(x, i=i):\n        return x, i, <use>\n", f=FUNCTION)
add("<f> = {'a': lambda x: x, 'b': lambda x: (x, <use>)}['b']", f=FUNCTION)
add("<f> = (\n    lambda x: (\n        x,\n        <use>,\n    )\n)", f=FUNCTION)
add(
    """
    def <f>(x):
        '''Say something.'''
        def inner(y, k=<int>):
            return y, k, x, <use>
        return [inner(each) for each in range(2)], <f>.__doc__
    """,
    f=FUNCTION,
)
add(
    """
    def <f>(x):
        import math
        from collections import OrderedDict
        return math.floor(x / 2), OrderedDict(a=<use>)
    """,
    f=FUNCTION,
)
add("def <f>(x):\n    return 1 if x < 1 else x + <f>(x - 1)", f=FUNCTION)
add(
    """
    def even(x):
        return True if x < 1 else odd(x - 1)
    def odd(x):
        return False if x < 1 else even(x - 1)
    """,
    fixed={"even": FUNCTION, "odd": FUNCTION},
)
add(
    """
    def <f>(x):
        total = [y + x for y in range(3) if (last := y) >= 0]
        try:
            return total, last, {}[x], <use>
        except KeyError as error:
            return repr(error), <use>
    """,
    f=FUNCTION,
)
add(
    """
    def pairs(x):
        yield x
        yield from [<use>, <int>]
    def <f>(x):
        return list(pairs(x))
    """,
    f=FUNCTION,
    fixed={"pairs": NOTHING},
)
add(
    """
    from contextlib import contextmanager
    @contextmanager
    def opened(x):
        yield [x, <use>]
    def <f>(x):
        with opened(x) as found:
            return found
    """,
    f=FUNCTION,
    fixed={"opened": NOTHING},
)
add("def <f>(x):\n    raise LookupError(f'no {x}', <use>)", f=FUNCTION)
add("def <f>(x):\n    return <f>.tag, x\n<f>.tag = <now>", f=FUNCTION)
add("def <f>(x: 'Missing') -> 'list[Missing]':\n    y: Missing = <use>\n    return [y]", f=FUNCTION)
add(
    "def <f>(x):\n    return __name__, <f>.__qualname__, <f>.__module__", f=FUNCTION, ordinary=False
)
add(
    "if <now_int> > 3:\n    def <f>(x):\n        return 'more', x\n"
    "else:\n    def <f>(x):\n        return 'less', x, <use>",
    f=FUNCTION,
)
add(
    "try:\n    from no_such_module import <f>\nexcept ImportError:\n    def <f>(x):\n"
    "        return 'stand-in', x",
    f=FUNCTION,
)

# Functions made by functions

add(
    """
    def make(k):
        def inner(x):
            return x, k, <use>
        return inner
    <f> = make(<now>)
    <g> = make(<int>)
    """,
    f=FUNCTION,
    g=FUNCTION,
    fixed={"make": NOTHING},
    times=2,
)
add("def make(k):\n    return lambda x: (x, k, <use>)\n<f> = make(<now>)", f=FUNCTION)
add(
    """
    def make(k):
        def inner(x):
            return k is <a_mutable>, k, x
        return inner
    <f> = make(<a_mutable>)
    """,
    f=FUNCTION,
)
add(
    """
    def make(n):
        def up():
            nonlocal n
            n += 1
        def read(x):
            return n, x
        return up, read
    up, <f> = make(<int>)
    up()
    """,
    f=FUNCTION,
    fixed={"up": kind_of("up")},
    times=2,
)
add("<an_up>()")
add(
    """
    def make(found):
        def first(x):
            return found, x
        def second(x):
            return first(x)[0] is found, [*found, x]
        return first, second
    <f>, <g> = make([<int>])
    def <h>(x):
        return <f>(x)[0] is <f>(1)[0], <g>(x)
    """,
    f=FUNCTION,
    g=FUNCTION,
    h=FUNCTION,
)
add(
    """
    def make():
        def factorial(x):
            return 1 if x <= 1 else x * factorial(x - 1)
        return factorial
    <f> = make()
    """,
    f=FUNCTION,
)
add(
    """
    def make():
        def even(x):
            return True if x < 1 else odd(x - 1)
        def odd(x):
            return False if x < 1 else even(x - 1)
        return even, odd
    <f>, <g> = make()
    """,
    f=FUNCTION,
    g=FUNCTION,
)
add(
    """
    def make(k):
        def inner(x, *, text='''a
      b'''):
            found = '''one
      two
    three''' + f'''{x}
        {k}'''
            return found, text, \\
    <use>
        return inner
    <f> = make(<now>)
    """,
    f=FUNCTION,
)
add(
    """
    def make(k):
        class Inner:
            size = k
            def get(self, x):
                return self.size, k, x
        return Inner
    Made = make(<int>)
    <f> = Made().get
    """,
    f=CALLABLE,
    fixed={"Made": NOTHING},
    ordinary=False,
)

# Decorators, registries

add(
    """
    def marked(function):
        def wrapper(x):
            return 'marked', <int>, function(x)
        return wrapper
    @marked
    def <f>(x):
        return x, <use>
    """,
    f=FUNCTION,
    fixed={"marked": kind_of("decorator")},
    times=2,
)
add(
    """
    import functools
    def times(k, found=<now>):
        def decorate(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                return k, found, function(*args, **kwargs)
            return wrapper
        return decorate
    @times(<now>)
    @times(<int>)
    def <f>(x):
        return x, <use>
    """,
    f=FUNCTION,
    times=2,
)
add(
    "from functools import wraps\ndef same(function):\n"
    "    return wraps(function)(lambda x: function(x))\n@same\ndef <f>(x):\n    return x, <use>",
    f=FUNCTION,
)
add(
    """
    registry = {}
    def register(function):
        registry[function.__name__] = function
        return function
    @register
    def <f>(x):
        return x, <use>
    """,
    f=FUNCTION,
    level=3,
    fixed={"register": kind_of("register")},
    times=2,
)
add("@<a_register>\ndef <f>(x):\n    return 'later', x, <int>", f=FUNCTION, level=3, times=2)
add(
    "def <f>(x):\n    <a_register>\n    return {name: registry[name](x) for name in registry}",
    f=FUNCTION,
    level=5,
    times=2,
)
add(
    """
    import functools
    @functools.singledispatch
    def show(x):
        return 'any', repr(x)
    @show.register
    def _(x: int):
        return 'int', x, <use>
    @show.register(str)
    def show_text(x):
        return 'text', x
    """,
    level=1,
    fixed={"show": DISPATCH},
)
add("@<a_dispatch>.register(float)\ndef _(x):\n    return 'float', <int>", level=1, times=2)
add("<a_dispatch>.register(list, lambda x: ['list', <int>])", level=1)
add("import functools\n<f> = functools.partial(<a_lower>, <int>)", f=PARTIAL)
add("from functools import partial\n<f> = partial(lambda k, x: (k, x, <use>), <now>)", f=CALLABLE)
add(
    "import functools\n@functools.lru_cache(maxsize=None)\ndef <f>(x):\n    return [x, <int>]",
    f=CACHED,
)
add("import functools\n<f> = functools.cache(lambda x: [x])", f=CACHED)
add("def wrapper(x, inner=<a_function>):\n    return 'wrapped', inner(x)\n<a_function> = wrapper")
add("<f> = <a_lower>", f="a_lower")
add("import gc_warm\n<f> = gc_warm.self_contained(<a_lower>)", f=CALLABLE)
add(
    "from gc_warm import self_contained\n@self_contained\ndef <f>(x):\n    return x, <use>",
    f=CALLABLE,
    times=2,
)
add(
    """
    from gc_warm import warm
    @warm
    def model_U(k):
        return {'k': k, 'made': <int>}
    def <f>(x):
        return model_U(x)['made'], x
    """,
    f=FUNCTION,
)

# Names for what has another name, or none

add(
    "def <f>(x):\n    return 'first', x\ndef <g>(x):\n    return 'second', x, <use>\n"
    "<f>, <g> = <g>, <f>",
    f=FUNCTION,
    g=FUNCTION,
)
add("def <f>(x):\n    return 'old', x, <use>\n<g> = <f>\ndel <f>", g=FUNCTION)
add(
    "def <f>(x):\n    return 'old', x, <use>\n<g> = <f>\ndef <f>(x):\n    return 'new', <g>(x)",
    f=FUNCTION,
    g=FUNCTION,
)
add("<f> = lambda x: 1 if x < 1 else x * <f>(x - 1)", f=FUNCTION)
add("<f> = <an_instance>.total", f=PARTIAL, level=3)
add("<p> = <a_class>.total", p=kind_of("", "{n}.__name__", "{n}({x})"))
add("import operator\n<p> = operator.attrgetter('value')", p=kind_of("", "{n}.__class__.__name__"))
add("<f> = '{}-a'.format", f=BUILTIN)
add("import re\n<f> = re.compile('b*').sub\n<d> = <f>('x', 'abc')", f=NOTHING, d=STR)
add(
    "import functools\n<p> = functools.partial(<a_class>, <int>)",
    p=kind_of("", "{n}()", "{n}().total()"),
)
add(
    "from functools import partial\nclass <C>:\n    scale = <int>\n    def __init__(self, value):\n"
    "        self.value = value\n    total = lambda self: (self.value, self.pick)\n"
    "    pick = property(lambda self: self.scale)",
    C=CLASS,
)
add(
    "def total_of(self):\n    x = self.value\n    return 'outside', <use>\n"
    "class <C>:\n    scale = <int>\n    total = total_of\n    def __init__(self, value):\n"
    "        self.value = value",
    C=CLASS,
)
add(
    "<C> = type('<C>', (), {'scale': <int>, 'total': lambda self: self.value,\n"
    "    '__init__': lambda self, value: setattr(self, 'value', value)})",
    C=CLASS,
    ordinary=False,
)
add("exec('def <f>(x): return x, <int>')", f=FUNCTION, ordinary=False)
add(
    "from types import FunctionType\n<f> = FunctionType(<a_function>.__code__, globals())",
    f=FUNCTION,
    level=4,
    ordinary=False,
)
add("from collections import namedtuple\n<C> = namedtuple('Other', ['value', 'scale'])", C=NAMED)
add("class <C>(<a_class>):\n    pass\n<D> = <a_class>", C=CLASS, D="a_class")

# What calls change: submitted, as other functions must not see it

add(
    "count_U = <int>\ndef bump_U(x):\n    global count_U\n    count_U += x\n    return count_U, x",
    fixed={"bump_U": ONCE},
    times=2,
)
add(
    "seen_U = [<int>]\ndef note_U(x):\n    seen_U.append(x)\n    return seen_U\nnote_U(1)",
    fixed={"note_U": ONCE},
)
add("def keep_U(x, found=[<int>]):\n    found.append(x)\n    return found", fixed={"keep_U": ONCE})
add(
    "def called_U(x):\n    called_U.count += 1\n    return called_U.count\ncalled_U.count = <int>",
    fixed={"called_U": ONCE},
)
add(
    """
    def make(n):
        def up():
            nonlocal n
            n += 1
            return n
        def read():
            return n
        return up, read
    up_U, read_U = make(<int>)
    def both_U(x):
        return up_U(), up_U(), read_U(), x
    """,
    fixed={"both_U": ONCE},
)
add(
    """
    class Counted_U:
        count = <int>
        def __init__(self):
            Counted_U.count += 1
    def counted_U(x):
        return Counted_U().count + x
    Counted_U()
    """,
    fixed={"counted_U": ONCE},
)
add(
    "import itertools\nids_U = itertools.count(<int>)\ndef next_U(x):\n    return next(ids_U) + x",
    fixed={"next_U": ONCE},
    ordinary=False,
)

# Several on a line, and one in another

add("<f> = (lambda x: ['a', x]) if <now_int> > 2 else (lambda x: ['b', x, <use>])", f=FUNCTION)
add("<f> = (lambda k: lambda x: (k, x, <use>))(<now>)", f=FUNCTION)
add("<f>, <g> = (lambda k: (lambda x: (k, x), lambda x: [k, x]))(<int>)", f=FUNCTION, g=FUNCTION)
add("<f> = lambda x, k=lambda y: (y, <int>): k(x)", f=FUNCTION)
add("def <f>(x, k=lambda y: [y, <use>], *, j=lambda y: y): return k(x), j(x)", f=FUNCTION)
add("<f> = sorted([lambda x: (x, 1), lambda x: (x, 2)], key=lambda f: -f(0)[1])[0]", f=FUNCTION)
add("<f> = next(lambda x: (x, i) for i in range(<int>, 9) if i > 3)", f=FUNCTION)
add("import functools\n<f> = functools.wraps(<a_function>)(lambda x: ('wraps', x))", f=FUNCTION)
add("if True: <f> = lambda x: (x, 'one'); <g> = lambda x: (x, 'two')", f=FUNCTION, g=FUNCTION)
add(
    "class Holder: <f> = lambda x: [x]; <g> = lambda x: (x, <int>)\n"
    "<f>, <g> = Holder.<f>, Holder.<g>",
    f=FUNCTION,
    g=FUNCTION,
    fixed={"Holder": NOTHING},
)
add(
    """
    def make(k):
        if k:
            def inner(x):
                return 'if', x, k
        else:
            def inner(x):
                return 'else', x
        return inner
    <f>, <g> = make(1), make(0)
    """,
    f=FUNCTION,
    g=FUNCTION,
)
add(
    """
    def make():
        found = []
        for k in range(3):
            def inner(x, k=k): return x, k, found[0] is inner
            found.append(inner)
        return found
    <f>, _, <g> = make()
    """,
    f=FUNCTION,
    g=FUNCTION,
)
add(
    """
    def make(k):
        class Local:
            def method(self, x):
                return (lambda: (k, x, <use>))()
        return Local().method
    <f> = make(<int>)
    """,
    f=CALLABLE,
    ordinary=False,
)
add(
    """
    def make(k):
        def outer(x):
            nonlocal k
            def inner():
                return k, x
            return inner()
        late = <int>
        def other(x):
            return outer(x), late
        late = [late]
        return other
    <f> = make(<now>)
    """,
    f=FUNCTION,
)
add(
    "def make():\n    def <f>(x):\n        global <f>\n        return <f>.__name__, x\n"
    "    return <f>\n<f> = make()",
    f=FUNCTION,
)
add(
    """
    def typed(kind, *more, **named):
        def decorate(function):
            function.kind, function.named = kind, named
            return function
        return decorate
    @typed(list[int], lambda x: x, k={'a': <int>})
    def <f>(x):
        return x, <f>.named
    """,
    f=FUNCTION,
    fixed={"typed": NOTHING},
)
add(
    "def <f>(x): return [x, <use>]\ndef <g>(x): return [x, <use>]\n"
    "<f>.other = <g>\n<g>.other = <f>",
    f=FUNCTION,
    g=FUNCTION,
)
add(
    "def <f>(x, *, k=<a_mutable>, j=[<int>]):\n    return k, j, x\n"
    "<f>.__kwdefaults__['j'] = [<now>]",
    f=FUNCTION,
)
add(
    "class Pipeline:\n    def __init__(self, *steps):\n        self.steps = steps\n"
    "    def __call__(self, x):\n        for step in self.steps:\n            x = step(x)\n"
    "        return x\n<f> = Pipeline(<a_lower>, lambda x: [x, <int>], repr)",
    f=CALLABLE,
    fixed={"Pipeline": NOTHING},
)
add(
    "def <f>(x):\n    match x:\n        case int(n) if n > 2:\n            return 'many', n\n"
    "        case _:\n            return 'few', <use>",
    f=FUNCTION,
)
add(
    "def <f>(x):\n    return (lambda: [y for y in range(2) if y or <use>])(), {**{'k': x}}",
    f=FUNCTION,
)
add("def <f>(x):\n    import <f>_missing\n    return x", f=FUNCTION, ordinary=False)
add(
    "async def wait(x):\n    return x, <use>\ndef <f>(x):\n    try:\n        wait(x).send(None)\n"
    "    except StopIteration as stop:\n        return stop.value",
    f=FUNCTION,
    fixed={"wait": NOTHING},
)
