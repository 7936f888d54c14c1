"""Classes, their instances, and what changes them."""

from __future__ import annotations

from dataclasses import replace

from .kinds import (
    CALLABLE,
    CLASS,
    DICT,
    ENUM,
    FUNCTION,
    INSTANCE,
    MADE,
    NAMED,
    NOTHING,
    PARTIAL,
    Kind,
    add,
    kind_of,
)

# Data that holds definitions

add("<p> = {'a': <a_lower>, 'b': max}", p=kind_of("", "{n}['a'](1)", "sorted({n})"), level=3)
add("<p> = [<a_lower>, <a_lower>]", p=kind_of("", "[each(1) for each in {n}]"), level=3)
add("<p> = [lambda x: x, lambda x: (x, <int>)]", p=kind_of("", "[each({x}) for each in {n}]"))
add("<p> = <a_class>(<int>)", p=INSTANCE, times=4)
add("<p> = [<a_class>(1), <a_class>(2)]", p=kind_of("", "{n}", "[e.total() for e in {n}]"), times=2)
add("<p> = <a_class>(<int>).total", p=PARTIAL)
add("<p> = {'kind': <a_class>, 'n': <int>}", p=kind_of("", "{n}['kind']({x}).total()", "{n}"))
add("<p> = <an_enum>.A", p=kind_of("identity", "{n}", "{n}.value", "{n}.name"), times=2)

# Classes

add(
    """
    class <C>:
        scale = <now>
        def __init__(self, value):
            self.value = value
        def total(self):
            x = self.value
            return self.scale, <use>
    """,
    C=CLASS,
    times=4,
)
add(
    """
    class <C>(<a_class>):
        def total(self):
            return 'child', <int>, super().total()
    """,
    C=CLASS,
    times=3,
)
add(
    """
    class <C>(<a_class>):
        scale = <int>
        def __init__(self, value):
            super().__init__(value)
            self.more = [value]
    """,
    C=CLASS,
)
add(
    """
    class <C>:
        __slots__ = ('value', '__hidden')
        scale = <int>
        unit, limit = 'm', [scale, <now>]
        def __init__(self, value):
            self.value = value
            self.__hidden = -value
        @property
        def half(self):
            return self.value / 2, self.limit
        @classmethod
        def make(cls, value):
            return cls(value + <int>)
        @staticmethod
        def double(value):
            return value * 2
        def total(self):
            return self.half, self.double(self.__hidden), type(self).make(1).value
    """,
    C=MADE,
    times=2,
)
add(
    """
    class <C>:
        kinds = {}
        scale = <int>
        def __init_subclass__(cls, **options):
            super().__init_subclass__(**options)
            cls.kinds[cls.__name__] = cls
        def __init__(self, value):
            self.value = value
        def total(self):
            return {name: kind.scale for name, kind in self.kinds.items()}
    class <D>(<C>):
        scale = <int>
    """,
    C=CLASS,
    D=CLASS,
    times=2,
)
add(
    """
    from dataclasses import dataclass, field
    @dataclass
    class <C>:
        value: int
        scale: int = <now_int>
        tags: list = field(default_factory=lambda: [<int>])
        def total(self):
            x = self.value
            return x, self.tags, <use>
    """,
    C=CLASS,
    times=2,
)
add(
    """
    import dataclasses
    @dataclasses.dataclass(frozen=True, order=True)
    class <C>:
        value: int
        scale: int = <int>
        text: str = dataclasses.field(default='a', compare=False)
        def __post_init__(self):
            object.__setattr__(self, 'twice', self.value * 2)
        def total(self):
            return self < type(self)(5), {self: self.twice}, hash(self) == hash(self)
    """,
    C=CLASS,
    times=2,
)
add(
    """
    from dataclasses import dataclass, KW_ONLY, InitVar
    @dataclass(slots=True)
    class <C>:
        value: int
        _: KW_ONLY
        scale: int = <int>
        given: InitVar[int] = 3
        def __post_init__(self, given):
            self.scale += given
        def total(self):
            return self
    """,
    C=CLASS,
    ordinary=False,
)
add(
    """
    import enum
    class <C>(enum.Enum):
        A = <int>
        B = enum.auto()
        C = A
        def total(self):
            return self, self.value, <use_two>
    """,
    C=ENUM,
)
add("import enum\n<C> = enum.Enum('<C>', 'A B')\n<C>.total = lambda self: self.name", C=ENUM)
add(
    "import enum\nclass <C>(enum.IntFlag):\n    A = 1\n    B = 2\n    def total(self):\n"
    "        return self | type(self).B",
    C=ENUM,
)
add("from collections import namedtuple\n<C> = namedtuple('<C>', 'value scale')", C=NAMED)
add(
    "from typing import NamedTuple\nclass <C>(NamedTuple):\n    value: int\n"
    "    scale: int = <now_int>\n    def total(self):\n        return self, self.scale",
    C=CLASS,
)
add(
    """
    class <C>(ValueError):
        scale = <int>
        def __init__(self, value):
            super().__init__(value)
            self.value = value
        def total(self):
            return str(self), self.scale
    def <f>(x):
        try:
            raise <C>(x)
        except ValueError as error:
            return error, isinstance(error, <C>)
    def <g>(x):
        raise <C>(x)
    """,
    C=CLASS,
    f=FUNCTION,
    g=FUNCTION,
    level=3,
)
add(
    """
    from abc import ABC, abstractmethod
    class <C>(ABC):
        @abstractmethod
        def total(self): ...
    class <D>(<C>):
        scale = <int>
        def __init__(self, value):
            self.value = value
        def total(self):
            return isinstance(self, <C>), self.value
    """,
    C=NOTHING,
    D=CLASS,
)
add(
    """
    from typing import Generic, TypeVar
    T = TypeVar('T')
    class <C>(Generic[T]):
        scale: int = <int>
        def __init__(self, value: T) -> None:
            self.value = value
        def total(self) -> T:
            return self.value
    """,
    C=CLASS,
)
add(
    """
    from functools import total_ordering
    @total_ordering
    class <C>:
        scale = <int>
        def __init__(self, value):
            self.value = value
        def __eq__(self, other):
            return self.value == other.value
        def __lt__(self, other):
            return self.value < other.value
        def __hash__(self):
            return hash(self.value)
        def total(self):
            return self >= type(self)(<int>), len({self, type(self)(self.value)})
    """,
    C=CLASS,
)
add(
    """
    class <C>:
        class Part:
            size = <int>
            def get(self):
                return self.size
        scale = Part.size
        def __init__(self, value):
            self.value = value
            self.part = self.Part()
        def total(self):
            return self.part.get(), <C>.Part.size
    """,
    C=CLASS,
)
add(
    """
    class <C>:
        scale = <int>
        def __init__(self, value):
            self.value = value
        def total(self):
            return self(1)
        def __call__(self, x):
            return x, self.value
    <p> = <C>(<int>)
    """,
    C=CLASS,
    p=CALLABLE,
)
add(
    """
    class Meta(type):
        def __new__(meta, name, bases, body, **options):
            made = super().__new__(meta, name, bases, body)
            made.options = sorted(options)
            return made
    class <C>(metaclass=Meta, option=<int>):
        scale = <int>
        def __init__(self, value):
            self.value = value
        def total(self):
            return self.options
    """,
    C=CLASS,
    ordinary=False,
)
add(
    """
    def marked(cls):
        cls.scale = <now>
        return cls
    @marked
    class <C>:
        def __init__(self, value):
            self.value = value
        def total(self):
            return self.scale
    """,
    C=CLASS,
)
add(
    "class <C>(list):\n    scale = <int>\n    def __init__(self, value):\n"
    "        self.append(value)\n    def total(self):\n        return self",
    C=CLASS,
)
add(
    "def <f>(x):\n    return isinstance(<an_instance>, <a_class>), <use>",
    f=FUNCTION,
    level=4,
    times=2,
)
add("def <f>(x):\n    return <a_class>(x).total(), <a_class>(x)", f=FUNCTION, level=4, times=2)

# More classes

add(
    """
    from functools import cached_property, lru_cache, partialmethod, singledispatchmethod
    class <C>:
        scale = <int>
        def __init__(self, value):
            self.value = value
        @cached_property
        def slow(self):
            return [self.value]
        @singledispatchmethod
        def show(self, x):
            return 'any', x
        @show.register
        def _(self, x: int):
            return 'int', x
        def plus(self, k, x=0):
            return self.value + k + x
        plus_five = partialmethod(plus, 5)
        @lru_cache
        def cached(self, x):
            return [x]
        def total(self):
            shown = self.show('a'), self.show(1)
            return type(self)(1).slow, shown, self.plus_five(), self.cached(2)
    """,
    C=CLASS,
    ordinary=False,
)
add(
    """
    class Field:
        def __set_name__(self, owner, name):
            self.name = '_' + name
        def __get__(self, instance, owner=None):
            return self if instance is None else getattr(instance, self.name, <int>)
        def __set__(self, instance, value):
            setattr(instance, self.name, value)
    class <C>:
        scale = <int>
        value = Field()
        def __init__(self, value):
            self.value = value
        def total(self):
            return self.value, type(self).value.name, vars(self)
    """,
    C=CLASS,
    fixed={"Field": NOTHING},
)
add(
    """
    class <C>:
        scale = <int>
        squares = [i * i for i in range(4)]
        for i in range(2):
            last = i
        def __init__(self, value):
            self.value = value
        def total(self):
            def inner():
                return __class__.scale, [super(__class__, self).__init__ is None for _ in 'a']
            return inner(), self.squares, self.last
        def __repr__(self):
            return f'<{self.value}>'
        def __len__(self):
            return 2
        def __getattr__(self, name):
            if name[:1] == '_':
                raise AttributeError(name)
            return name
    """,
    C=CLASS,
)
add(
    """
    class <C>:
        scale = <int>
        def __init__(self, value):
            self.value = value
            self.parts = [self]
            self.key = lambda x, k=value: (x, k)
        def __getstate__(self):
            return {'value': self.value}
        def __setstate__(self, state):
            self.__init__(state['value'])
        def total(self):
            return self.key(1), self.parts[0] is self
    """,
    C=CLASS,
)
add(
    """
    from dataclasses import dataclass
    import enum
    class Color(enum.Enum):
        RED = 'r'
        BLUE = 'b'
        @classmethod
        def _missing_(cls, value):
            return cls.BLUE
    @dataclass(frozen=True)
    class <C>:
        value: int
        scale: Color = Color.RED
        def total(self):
            return self.scale is Color.RED, {self.scale: [self]}, Color('none')
    def <f>(x, color=Color.BLUE):
        return color is Color.BLUE, <C>(x, color), {<C>(1): 1}[<C>(1)]
    """,
    C=CLASS,
    f=FUNCTION,
    level=3,
    fixed={"Color": NOTHING},
)
add(
    """
    from dataclasses import dataclass
    @dataclass
    class <C>:
        value: 'int | Later' = 1
        def total(self):
            return Later(self)
    @dataclass
    class Later:
        back: <C>
    """,
    C=replace(CLASS, uses=("{n}({x}).total()", "{n}({x})", "{n}({x}) == {n}(2)")),
    fixed={"Later": NOTHING},
)
add(
    """
    class <C>:
        made = {}
        scale = <int>
        def __new__(cls, value):
            found = cls.made.get(value)
            return found if found is not None else super().__new__(cls)
        def __init__(self, value):
            self.value = value
        def total(self):
            return type(self)(self.value) is self, self.made
    <C>.made[2] = <C>(2)
    """,
    C=CLASS,
    ordinary=False,
)
add(
    """
    class <C>(Exception):
        scale = <int>
        def __init__(self, value, more='more'):
            super().__init__(value)
            self.value, self.more = value, more
        def total(self):
            return self.args, self.more
    <p> = <C>(<int>, 'other')
    """,
    C=CLASS,
    p=INSTANCE,
)
add(
    """
    from collections import UserDict, defaultdict
    class <C>(UserDict):
        scale = <int>
        def __init__(self, value=0):
            super().__init__(value=value)
            self.value = value
        def total(self):
            return self['value'], self.data
    <p> = defaultdict(<C>, a=<C>(<int>))
    """,
    C=CLASS,
    p=kind_of("", "{n}['a'].total()", "{n}.default_factory", "sorted({n})"),
)
add(
    """
    from typing import Protocol, runtime_checkable
    @runtime_checkable
    class Total(Protocol):
        def total(self): ...
    class <C>:
        scale = <int>
        def __init__(self, value):
            self.value = value
        def total(self):
            return isinstance(self, Total), isinstance(1, Total)
    """,
    C=CLASS,
    fixed={"Total": NOTHING},
    ordinary=False,
)
add(
    """
    from abc import ABC
    class <C>(ABC):
        scale = 1
    @<C>.register
    class <D>:
        scale = <int>
        def __init__(self, value):
            self.value = value
        def total(self):
            return isinstance(self, <C>)
    """,
    C=NOTHING,
    D=CLASS,
)
add(
    """
    from dataclasses import dataclass, field
    @dataclass(order=True)
    class <C>:
        value: int
        def total(self):
            return self
    @dataclass
    class <D>(<C>):
        scale: int = field(default=<int>, repr=False)
        extra: dict = field(default_factory=dict)
        def total(self):
            return super().total() is self, self.extra
    """,
    C=replace(CLASS, uses=("{n}({x}).total()", "[{n}(1), {n}({x})]", "{n}(1) < {n}(2)")),
    D=CLASS,
)
add(
    """
    def singleton(cls):
        return cls(<int>)
    @singleton
    class <p>:
        scale = <int>
        def __init__(self, value):
            self.value = value
        def total(self):
            return self.value, self.scale
    """,
    p=INSTANCE,
)
add(
    """
    class Node:
        def __init__(self, name, parent=None):
            self.name, self.parent, self.children = name, parent, []
            if parent is not None:
                parent.children.append(self)
    <p> = Node('root')
    leaf = Node(<int>, <p>)
    """,
    p=kind_of("identity", "{n}.children[0].parent is {n}", "leaf.parent is {n}", "{n}"),
    fixed={"leaf": NOTHING, "Node": NOTHING},
)
add(
    """
    class Grower:
        def __init__(self):
            self.found = []
        def grow(self, x):
            self.found.append(x)
            return self
    <p> = Grower().grow(<int>)
    """,
    p=kind_of("grower identity", "{n}.found", "len({n}.found)"),
    fixed={"Grower": NOTHING},
)
add("<a_grower>.grow(<now>)", times=2)
add("from collections import defaultdict\n<d> = defaultdict(lambda: <int>, a=1)", d=DICT)
add(
    "<d> = {(1, 2): 'a', None: [<int>], 1.5: {}}", d=kind_of("dict mutable data", "{n}", "len({n})")
)
add("<p> = {<an_enum>.A: 1, <an_enum>.B: [<int>]}", p=kind_of("", "{n}", "list({n})"))
add(
    "import xml.dom\nimport concurrent.futures as futures",
    fixed={
        "xml": kind_of("", "xml.dom.__name__"),
        "futures": kind_of("", "futures.Future.__name__"),
    },
)
add(
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nowhere import Thing\n"
    "def <f>(x: 'Thing') -> 'Thing':\n    return x, <use>",
    f=FUNCTION,
)
add(
    "import logging\nlog = logging.getLogger(__name__)\ndef <f>(x):\n    log.debug('%s', x)\n"
    "    return x, log.name == __name__",
    f=FUNCTION,
    fixed={"log": NOTHING},
)

# What changes definitions


def _tagged(kind: Kind) -> Kind:
    return replace(kind, uses=(*kind.uses, "{n}.tag"))


def _extra(kind: Kind) -> Kind:
    return replace(kind, uses=(*kind.uses, "{n}.extra", "{n}({x}).extra"))


add("<a_function>.tag = <now>", a_function=_tagged, times=2)
add("<a_function>.__defaults__ = (<int>,)", ordinary=False)
add("<a_function>.__doc__ = 'Changed.'", ordinary=False)
add("<a_class>.extra = <now>", a_class=_extra)
add("<a_class>.scale = <int>")
add("<a_class>.total = lambda self: ('patched', <int>)", ordinary=False)
add("def patched(self):\n    return 'patched', <int>\n<a_class>.total = patched", ordinary=False)
add("if not hasattr(<a_class>, 'extra'):\n    <a_class>.extra = []", a_class=_extra)
add("<a_class>.__doc__ = 'Changed.'\n<a_class>.__hash__ = None", ordinary=False)

# Classes that change while they are made

add(
    """
    class Registered(type):
        all = {}
        def __new__(meta, name, bases, body):
            body['made_by'] = meta.__name__
            return super().__new__(meta, name, bases, body)
        def __init__(cls, name, bases, body):
            super().__init__(name, bases, body)
            Registered.all[name] = cls
        def __call__(cls, *args):
            made = super().__call__(*args)
            made.called = True
            return made
    class <C>(metaclass=Registered):
        scale = <int>
        def __init__(self, value):
            self.value = value
        def total(self):
            return self.made_by, self.called, [*Registered.all]
    """,
    C=CLASS,
    fixed={"Registered": NOTHING},
    ordinary=False,
)
add(
    """
    import functools
    class <C>:
        scale = <int>
        def __init__(self, value):
            self._value = value
        @property
        def value(self):
            return self._value
        @value.setter
        def value(self, value):
            self._value = value, <int>
        def logged(method):
            @functools.wraps(method)
            def wrapper(self, *args):
                return method.__name__, method(self, *args)
            return wrapper
        @logged
        def total(self):
            other = type(self)(1)
            other.value = 5
            return self.value, other.value
        @classmethod
        @functools.lru_cache
        def make(cls, value):
            return cls(value)._value
        double = staticmethod(lambda value: value * 2)
    """,
    C=MADE,
)
add(
    """
    class <C>:
        scale = <now>
        class Error(ValueError):
            pass
        handlers = {'a': lambda self: ('a', self.value)}
        def __init__(self, value):
            self.value = value
        def total(self):
            try:
                raise self.Error(self.value)
            except <C>.Error as error:
                return error.args, self.handlers['a'](self)
        def __eq__(self, other):
            return isinstance(other, <C>) and other.value == self.value
    """,
    C=replace(CLASS, uses=(*CLASS.uses, "{n}({x}) == {n}(3)", "{n}.__hash__ is None")),
)
add(
    "class <C>(<a_class>):\n    helper = <a_function>\n    def total(self):\n"
    "        return super().total(), type(self).helper(1)",
    C=CLASS,
)
add("class <C>(<a_class>, <a_class>.__bases__[0]):\n    scale = [<int>]", C=CLASS, ordinary=False)
add(
    "class Mixin:\n    def total(self):\n        return 'mixin', super().total()\n"
    "class <C>(Mixin, <a_class>):\n    pass",
    C=CLASS,
    fixed={"Mixin": NOTHING},
)
add(
    "<p> = <a_class>(<int>)\nclass <C>(<a_class>):\n    scale = <int>\n<p>.__class__ = <C>",
    p=INSTANCE,
    C=CLASS,
    ordinary=False,
)
add("<p> = <a_class>(<int>)\n<p>.total = lambda: ('own', <int>)", p=INSTANCE, ordinary=False)
add(
    "<p> = <a_class>(<a_class>(<int>))",
    p=kind_of("identity", "{n}", "{n}.value", "{n}.value.value"),
)
add("<p> = type(<an_instance>)(<int>)", p=INSTANCE)
add("import copy\n<p> = copy.deepcopy(<an_instance>)", p=INSTANCE)
add("del <a_class>.total", ordinary=False)
add(
    "<a_class>.later = classmethod(lambda cls: (cls.__name__, <int>))\n<p> = <a_class>.later",
    p=kind_of("identity", "{n}()"),
)
add(
    "import enum\nclass <C>(str, enum.Enum):\n    A = 'a'\n    B = 'b'\n    def total(self):\n"
    "        return self.upper(), self == 'a', {<C>.A: 1}['a']",
    C=ENUM,
)
add(
    """
    import enum
    class <C>(enum.Enum):
        A = (1, [<int>])
        B = (2, [])
        def __init__(self, number, found):
            self.number, self.found = number, found
        @property
        def next(self):
            return <C>.B
        @classmethod
        def first(cls):
            return next(iter(cls))
        def total(self):
            return self.number, self.found, self.next, <C>.first() is <C>.A
    """,
    C=ENUM,
)
add(
    """
    from dataclasses import dataclass, field, fields, asdict, replace
    @dataclass
    class <C>:
        value: int = field(metadata={'unit': 'm'})
        scale: 'list[<C>]' = field(default_factory=list, compare=False)
        count: int = field(default=<int>, init=False)
        def total(self):
            unit = fields(self)[0].metadata['unit']
            return unit, asdict(self), replace(self, value=3), self.__match_args__
    """,
    C=replace(CLASS, uses=("{n}({x}).total()", "{n}({x})", "{n}({x}) == {n}(3)", "{n}.count")),
)
