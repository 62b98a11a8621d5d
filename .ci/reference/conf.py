"""The API reference: `sphinx-build -W .ci/reference OUTPUT`. Modules, names and rules are found in the package."""

import ast
import importlib
import inspect
import pkgutil
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import scipy.special
from docutils import nodes
from jinja2 import Template
from sphinx.addnodes import desc_annotation, desc_content, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import minigrad
from minigrad.census import KINDS, UFUNC_METHODS, census, counts
from minigrad.compiler.rewriting.rewrites import EXACT, REWRITES
from minigrad.layers import LAYERS, Layer
from minigrad.optim import update_rules
from minigrad.rules import OPS, Composite, Op
from minigrad.rules.special import SPECIAL
from minigrad.rules.table import full_name as name_of

project = "minigrad"
version = release = minigrad.__version__
html_theme = "furo"
html_title = f"minigrad {release}"
html_copy_source = False
html_show_copyright = False

extensions = [f"sphinx.ext.{name}" for name in ("autodoc", "napoleon", "viewcode")]
add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# In docstrings ``text`` is code; `name` is a parameter or a reference, and must be one.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:class", ".*")]

UFUNC_ENDINGS = tuple(f".{method}" for method in UFUNC_METHODS)
ELSEWHERE = {
    "numpy": "https://numpy.org/doc/stable/reference/generated/",
    "scipy": "https://docs.scipy.org/doc/scipy/reference/generated/",
}
MODULES = {
    found.name: importlib.import_module(found.name)
    for found in pkgutil.walk_packages(minigrad.__path__, "minigrad.")
}


def full_name(name: str, module: str | None) -> str:
    """Return the full name, where it is defined, of what a module or else the package calls by a name."""
    for scope in (MODULES.get(module), minigrad):
        found, path = scope, name.removeprefix("minigrad.").split(".")
        while path and (found is scope or inspect.ismodule(found)):
            found = getattr(found, path.pop(0), None)
        if getattr(found, "__module__", None) in MODULES and hasattr(found, "__name__"):
            return ".".join([found.__module__, found.__name__, *path])
    return f"{module}.{name}" if hasattr(MODULES.get(module), name) else name


def public_names(module: Any) -> dict[str, tuple[str, str]]:
    """Return the classes and functions that a module offers: their full names, their docstrings' first lines."""
    names = {}
    for name in getattr(module, "__all__", []):
        if (home := getattr(getattr(module, name), "__module__", None)) in MODULES:
            names[name] = f"{home}.{name}", summary(getattr(module, name), home)
    return names


def summary(found: Any, module: str) -> str:
    """Return the first line of a docstring, its references in full."""
    line = found.__doc__.splitlines()[0]
    return re.sub(r"(?<!`)`([\w.]+)`(?!`)", lambda name: f"`{name[1]} <{full_name(name[1], module)}>`", line)


def written_call(layer: Layer) -> str:
    """Write how a layer is called: its name and its forward's parameters, without their types."""
    signature = inspect.signature(layer.forward)
    plain = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return layer.name + str(signature.replace(parameters=plain, return_annotation=signature.empty))


@cache
def lambdas(path: str) -> dict[int, list[str]]:
    """Return the expressions of a file's lambdas, by the line that each begins in."""
    found: dict[int, list[str]] = {}
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Lambda):
            found.setdefault(node.lineno, []).append(ast.unparse(node.body))
    return found


def written_rules(op: Op | Composite) -> list[str]:
    """Write each operand's rule: the expression of a lambda, or what the function's docstring says."""
    if isinstance(op, Composite):
        return ["Recorded as the calls that it is made of."]
    written = []
    rules = [inspect.unwrap(rule) for rule in ([op.together] if op.together else op.rules)]
    for rule in rules:
        line = rule.__code__.co_firstlineno
        if rule.__name__ == "<lambda>":
            beside = [each for each in rules if each.__code__.co_firstlineno == line]
            written.append(f"``{lambdas(rule.__code__.co_filename)[line][beside.index(rule)]}``")
        else:
            written.append((rule.__doc__ or f"``{rule.__name__}``").splitlines()[0])
    return written


def table_of_rules() -> list[dict[str, Any]]:
    """Return, for each function in the table: its file, its full name, the parameters known and its rules."""
    return [
        {
            "family": op.inputs.__module__,
            "function": name_of(function).replace("._ufuncs._", "."),
            "parameters": getattr(op, "known", []),
            "rules": written_rules(op),
        }
        for function, op in {**OPS, **SPECIAL}.items()
        if function not in SPECIAL or isinstance(function, np.ufunc)
    ]


def write_module_pages(app: Sphinx) -> None:
    """Write a page for each module, anew, into a folder that is not committed."""
    template = Template((app.srcdir / "module.rst.jinja").read_text(encoding="utf-8"))
    pages = app.srcdir / "modules"
    rmtree(pages, ignore_errors=True)
    pages.mkdir()
    for name, module in MODULES.items():
        layers = [written_call(layer) for layer in LAYERS.values() if layer.forward.__module__ == name]
        public = public_names(module)
        from_elsewhere = any(full.rpartition(".")[0] != name for full, _ in public.values())
        rules = [rule.__name__ for rule in update_rules.values() if rule.__module__ == name]
        public = public if from_elsewhere else {}
        page = template.render(module=name, public=public, layers=layers, rules=rules)
        (pages / f"{name}.rst").write_text(page, encoding="utf-8")


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Fill the tables of the pages written by hand."""
    if not page.startswith("modules/"):
        modules = {name: summary(module, name) for name, module in MODULES.items()}
        source[0] = Template(source[0]).render(
            public=public_names(minigrad),
            modules=modules,
            rules=table_of_rules(),
            census=[row for row in census() if not row.name.endswith(UFUNC_ENDINGS)],
            counts=counts(census()),
            kinds=KINDS,
            without=[
                name
                for name in scipy.special.__all__
                if isinstance(f := getattr(scipy.special, name), np.ufunc) and f not in SPECIAL
            ],
            layers=LAYERS,
            rewrites=dict.fromkeys(REWRITES),
            exact=EXACT,
        )


def skip_constants(app: Sphinx, kind: str, name: str, found: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what is neither a class nor a function nor a registry."""
    return True if kind == "module" and not (callable(found) or isinstance(found, (dict, set))) else None


def hide_value(app: Sphinx, domain: str, kind: str, content: desc_content) -> None:
    """Leave out what a registry holds."""
    for value in list(content.parent.findall(desc_annotation)) if kind == "data" else []:
        value.parent.remove(value)


def tell_parameters(app: Sphinx, kind: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Set parameters and attributes as code, and let a method that is a NumPy function refer to that."""
    wrapped = getattr(found, "__wrapped__", None)
    if getattr(wrapped, "__module__", "").startswith("numpy"):
        lines[:] = [f"As `numpy.{wrapped.__name__}`."]
    if kind in ("data", "attribute"):  # napoleon takes what stands before a colon for the type
        lines[:] = re.sub(r"(.*)\n\n:type: (.*)", r"\2: \1", "\n".join(lines), flags=re.S).splitlines()
    names = re.findall(r"^:ivar (\w+):", "\n".join(lines), re.M)
    with suppress(TypeError, ValueError):
        names += inspect.signature(found).parameters
    known = rf"(?<!`)`({'|'.join(names) or '(?!)'})`(?!`)"
    lines[:] = [re.sub(known, r"``\1``", line) for line in lines]


def leave_types_as_prose(app: Sphinx, page: nodes.document) -> None:
    """Take the references out of "ndarray of shape (N, D)"."""
    for field in page.findall(nodes.field):
        for reference in list(field.findall(pending_xref)):
            if reference["reftype"] == "class":
                reference.replace_self(reference.children)


def look_further(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element) -> Any:
    """Resolve a name that is not its own module's: NumPy's or SciPy's, imported there, or public."""
    target = node["reftarget"]
    if node["reftype"] != "obj":
        return None
    if (library := target.partition(".")[0]) in ELSEWHERE:
        return nodes.reference("", "", text, refuri=f"{ELSEWHERE[library]}{target}.html", internal=False)
    target = full_name(target, node.get("py:module"))
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, text)


def setup(app: Sphinx) -> None:
    """Connect them to Sphinx."""
    app.connect("builder-inited", write_module_pages)
    app.connect("source-read", fill_in)
    app.connect("autodoc-skip-member", skip_constants)
    app.connect("object-description-transform", hide_value)
    app.connect("autodoc-process-docstring", tell_parameters)
    app.connect("doctree-read", leave_types_as_prose)
    app.connect("missing-reference", look_further)
