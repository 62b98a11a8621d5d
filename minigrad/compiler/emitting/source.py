"""Code generation: a planned program as readable Python source, and the function compiled from it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ...rules.facts import facts
from ...rules.indexing import add_at
from ..environment.results import Assembled, LeftOutside, PassedThrough
from ..ir import Node, Nodes, added_at, cast, is_kept, part, pick, written
from ..rewriting.patterns import scalar_of
from .expressions import SIGNS, Expressions, is_arithmetic
from .memory import Plan, Storage, is_broadcast, overwrites

HINTS = {
    np.greater: "mask",
    np.less: "mask",
    np.equal: "ties",
    np.maximum.reduce: "top",
    np.add.reduce: "total",
}
HINTS |= {pick: "picked", np.log: "logs", np.vdot: "squares"}
"""Names for the results of these functions, where the traced function has none."""
VIEW_HINTS = {np.transpose: "_T", np.reshape: "_flat", part: "_part"}
"""Suffixes of the names of views."""
NAMES = re.compile(r"[^\W\d]\w*")
LARGE = 1 << 14
"""Arrays from this size on, in bytes, are deleted after their last use, so that NumPy can reuse their memory."""
LONGEST = 200
"""The longest expression that is inlined, in characters: Python's parser limits nesting."""


class SourceWriter(Expressions):
    """Writes a planned program as the source of a function, and compiles it.

    Parameters
    ----------
    plan
    inputs : list of Node
        The parameters of the function.
    name
        The function's name.
    """

    def __init__(self, plan: Plan, inputs: Nodes, name: str) -> None:
        super().__init__()
        self.plan = plan
        self.lines: list[tuple[str, str]] = []
        self.large: set[str] = set()  # the names of large arrays that each call allocates, and of their views
        # Names: of buffers and their views, by storage and layout; of what is left outside, by its number.
        self.views: dict[tuple[Any, ...], str] = {}
        self.left_outside: dict[int, str] = {}
        uses = Counter(x for node in plan.nodes for x in node.operands)
        uses.update(plan.results)
        self.once = {node for node in plan.nodes if uses[node] == 1}
        self.results = set(plan.results)
        self.soon = self.read_before_a_write()
        self.name = self.unused(name)
        self.parameters = [self.unused(node.name) for node in inputs]
        self.names |= zip(inputs, self.parameters, strict=True)
        self.augmented = self.augmented_writes()
        skipped = {x for part, changed in self.augmented.values() for x in (part, changed)}
        for node in plan.nodes:
            if node not in skipped:
                self.write(node)

    def augmented_writes(self) -> dict[Node, tuple[Node, Node]]:
        """Find reads and writes that make an augmented assignment: ``x[i] -= 1``, or ``x[1:] += y``.

        The memory of an array y must still hold it at the write: the sum overwrites it there, or the write comes next,
        and x is not copied first, into memory that may be y's.
        """
        found = {}
        before: Node | None = None
        for node in self.plan.nodes:
            changed, last = node.args[2] if node.function is written else None, before
            before = node
            if type(changed) is not Node or changed.function not in SIGNS or changed not in self.once:
                continue
            storage = self.plan.storage_of.get(node)
            if storage is None or (storage.owner is node and storage.fresh):
                continue
            sides = (0, 1) if changed.function in (np.add, np.multiply) else (0,)
            reads = [changed.args[side] for side in sides if self.reads_what(changed.args[side], node)]
            if not reads or changed.dtype != node.dtype or changed.shape != reads[0].shape:
                continue
            read = reads[0]
            (other,) = [x for x in changed.args if x is not read] or [None]
            if other is None or (read.function is pick and scalar_of(other) is None):
                continue
            kept = scalar_of(other) is not None or (changed is last and storage.owner is not node)
            if not kept and type(other) is Node:
                kept = self.plan.storage_of.get(self.plan.viewed(other)) is self.plan.storage_of[changed]
            if kept:
                found[node] = read, changed
        return found

    def reads_what(self, x: Any, node: Node) -> bool:
        """Tell whether a value is read, for one call, where a node writes."""
        if type(x) is not Node or x not in self.once or x.args[:2] != node.args[:2]:
            return False
        return x.function is pick or (x.function is part and bool(x.shape))

    # -- calls ---------------------------------------------------------------------------------------------------

    def write(self, node: Node) -> None:
        """Emit the line of a call; none for a view of a buffer, which is made once at compile time."""
        storage = self.plan.storage_of.get(node)
        if self.view_beforehand(node) or self.inline(node):
            return
        if storage is None or (storage.owner is node and storage.fresh):
            self.names[node] = name = self.unused(self.hint(node))
            if storage is not None:
                storage.name = name
            if any(np.size(root.value) * root.dtype.itemsize >= LARGE for root in self.plan.roots_of(node)):
                self.large.add(name)
            self.lines += [(f"{name} = {self.call(node)}", shape_of(node))]
            return
        if storage.owner.function is None:  # over a donated argument
            storage.name = self.names[storage.owner]
        elif not storage.name:
            storage.name = name = self.unused(self.hint(node))
            self.namespace[name] = array = storage.array
            if array is not None:
                self.views[storage, array.ctypes.data, array.shape, array.strides, array.dtype] = name
        over = [x for x in overwrites(node) if self.plan.storage_of.get(self.plan.viewed(x)) is storage]
        views = [self.names[x] for x in over if x.shape == node.shape]  # of an array of another shape
        self.names[node] = views[0] if views else storage.name
        for line in self.filling(node, self.names[node]):
            self.lines.append((line, shape_of(node)))

    def inline(self, node: Node) -> bool:
        """Inline the expression of a value that is used once: a view, or scalar arithmetic."""
        if node not in self.once or node in self.results or is_kept(node):
            return False
        view = node.function in (part, np.transpose) and bool(node.shape)
        if not (view or is_arithmetic(node) or node in self.soon):
            return False
        expression = self.call(node)
        if len(expression) > LONGEST:
            return False
        self.names[node] = f"({expression})" if is_arithmetic(node) else expression
        return True

    def read_before_a_write(self) -> set[Node]:
        """Find the scalars that are read once, before the next write to an array."""
        reads: dict[Node, int] = {}  # when an expression with the value in it is evaluated
        found: set[Node] = set()
        write = len(self.plan.nodes)
        for i, node in reversed([*enumerate(self.plan.nodes)]):
            if not isinstance(node.value, np.generic):
                write = i
            elif node in self.once and node not in self.results and reads[node] < write:
                found.add(node)
            inlined = is_arithmetic(node) and node in self.once and node not in self.results
            for x in node.operands:
                reads[x] = reads[node] if inlined else i
        return found

    def hint(self, node: Node) -> str:
        """Return a suggestion for the name of a value."""
        base = self.names.get(node.args[0], "") if node.args and type(node.args[0]) is Node else ""
        if node.function in VIEW_HINTS and base.isidentifier() and not node.name:
            return base + VIEW_HINTS[node.function]
        return node.name or HINTS.get(node.function, "")

    def view_beforehand(self, node: Node) -> bool:
        """Make a view of a buffer at compile time, where the call is one."""
        if facts(node.function).memory != "view" or type(node.args[0]) is not Node:
            return False
        base = self.namespace.get(self.names.get(node.args[0], ""))
        if not isinstance(base, np.ndarray) or node.operands != [node.args[0]]:
            return False
        view = node.function(base, *node.args[1:], **node.kwargs)
        if not np.may_share_memory(view, base) or not view.ndim:
            return False
        place = next((self.plan.storage_of.get(root) for root in self.plan.roots_of(node)), None)
        key = (place, view.ctypes.data, view.shape, view.strides, view.dtype)
        if key not in self.views:
            self.views[key] = name = self.unused(self.hint(node))
            self.namespace[name] = view
        self.names[node] = self.views[key]
        return True

    def filling(self, node: Node, into: str) -> list[str]:
        """Return the lines that compute a value into an existing array."""
        f, args = node.function, node.args
        if f is cast:
            return [f"{self.function(np.copyto)}({into}, {self.spelled(args[0])}, casting='unsafe')"]
        if f is np.copy:
            return [self.copying(args[0], into)]
        if f in (written, added_at):
            a, index, value = args
            lines = [] if self.spelled(a) == into else [self.copying(a, into)]
            if node in self.augmented:
                read, changed = self.augmented[node]
                (other,) = [x for x in changed.args if x is not read]
                shown = self.argument(changed, other)
                return [*lines, f"{into}[{self.index(index)}] {SIGNS[changed.function]}= {shown}"]
            if f is written:
                return [*lines, f"{into}[{self.index(index)}] = {self.spelled(value)}"]
            add = self.function(add_at)
            return [*lines, f"{add}({into}, {self.spelled(index)}, {self.spelled(value)})"]
        return [f"{self.function(f)}({', '.join([*self.arguments(node), f'out={into}'])})"]

    # -- the function ----------------------------------------------------------------------------------------------

    def finish(
        self, tree: Any, new: dict[int, Node], finals: dict[Node, Node]
    ) -> tuple[str, Callable[..., Any]]:
        """Return the source and the compiled function.

        Parameters
        ----------
        tree
            The result, with nodes in the places of arrays.
        new
            The replacement of each node of the tree, by ``id``.
        finals
            The final values of modified inputs.
        """
        storage_of = self.plan.storage_of
        self.left = {
            storage_of[x] for x, final in finals.items() if storage_of.get(final) is not storage_of[x]
        }
        self.handed: set[Storage] = set()
        result = self.literal(tree, new)
        self.put_back(finals)
        self.free_the_dead(result)
        width = min(max([len(line) for line, _ in self.lines], default=0), 60)
        body = [f"    {line:{width}}  # {shape}" if shape else f"    {line}" for line, shape in self.lines]
        head = f"def {self.name}({', '.join(self.parameters)}):"
        source = "\n".join([*self.head(), "", "", head, *body, f"    return {result}", ""])
        namespace = {name: value for name, value in self.namespace.items() if value is not None}
        exec(compile(source, f"<jit {self.name}>", "exec"), namespace)
        run: Callable[..., Any] = namespace.pop(self.name)  # or they would be in a circle
        return source, run

    def free_the_dead(self, result: str) -> None:
        """Emit a ``del`` after the last use of each large array that the call allocates."""
        last = {
            name: i
            for i, (line, _) in enumerate(self.lines)
            for name in NAMES.findall(line)
            if name in self.large
        }
        dead: dict[int, list[str]] = {}
        for name in last.keys() - NAMES.findall(result):
            dead.setdefault(last[name], []).append(name)
        self.lines = [
            each
            for i, line in enumerate(self.lines)
            for each in ([line, (f"del {', '.join(sorted(dead[i]))}", "")] if i in dead else [line])
        ]

    def literal(self, tree: Any, new: dict[int, Node]) -> str:
        """Return the source of a result."""
        if type(tree) is Node:
            return self.handed_out(new.get(id(tree), tree), isinstance(tree.value, np.ndarray))
        if type(tree) is PassedThrough:
            return self.names[tree.item] if type(tree.item) is Node else self.bound(tree.item, "outside")
        if type(tree) is LeftOutside:
            if tree.number not in self.left_outside:
                made = self.literal(tree.value, new)
                self.left_outside[tree.number] = made if type(tree.value) is Node else self.now(made)
            return self.left_outside[tree.number]
        if type(tree) is Assembled:
            parts = self.literal(tree.parts, new)
            assemble = self.bound(tree.assemble, tree.assemble.__name__)
            return f"{assemble}({self.bound(tree.empty, 'kind')}, {parts})"
        if type(tree) is dict:
            items = ", ".join(f"{self.spelled(key)}: {self.literal(x, new)}" for key, x in tree.items())
            return f"{{{items}}}"
        if isinstance(tree, (list, tuple)):
            items = ", ".join(self.literal(x, new) for x in tree)
            if type(tree) is tuple:
                return f"({items}{',' if len(tree) == 1 else ''})"
            if type(tree) is list:
                return f"[{items}]"
            return f"{self.function(type(tree))}({items if hasattr(tree, '_fields') else f'[{items}]'})"
        return self.spelled(tree)

    def handed_out(self, node: Node, array: bool) -> str:
        """Return the source of an array in a result; a copy where it would share memory."""
        if not node.shape:
            if array:
                return self.now(f"{self.function(np.array)}({self.spelled(node)})")
            is_array = isinstance(node.value, np.ndarray)
            return self.now(f"{self.spelled(node)}[()]") if is_array else self.spelled(node)
        roots = self.plan.roots_of(node)
        storages = {self.plan.storage_of[root] for root in roots if root in self.plan.storage_of}
        alone = (
            len(roots) == len(storages) == 1
            and all(each.fresh or each.owner in self.plan.donated for each in storages)
            and not is_broadcast(node)
            and not storages & (self.handed | self.left)
        )
        self.handed |= storages
        return self.spelled(node) if alone else self.now(f"{self.spelled(node)}.copy()")

    def now(self, expression: str) -> str:
        """Emit a line that evaluates an expression before an argument is modified; return its name."""
        name = self.unused("")
        self.lines.append((f"{name} = {expression}", ""))
        return name

    def put_back(self, finals: dict[Node, Node]) -> None:
        """Emit the copies of final values into inputs that do not hold them yet."""
        copied = []
        for x, final in finals.items():
            if self.plan.storage_of[x] not in self.left:
                continue
            value = self.spelled(final)
            storages = [self.plan.storage_of.get(root) for root in self.plan.roots_of(final)]
            if any(each is not None and each.owner.function is None for each in storages):
                kept = self.unused(f"new_{self.names[x]}")
                self.lines.append((f"{kept} = {value}.copy()", ""))
                value = kept
            copied.append((self.names[x], value))
        self.lines += [(f"{self.function(np.copyto)}({name}, {value})", "") for name, value in copied]


def shape_of(node: Node) -> str:
    """Return the comment to a line: the shape and dtype of what it computes."""
    return f"{node.shape} {node.dtype}" if node.shape else ""
