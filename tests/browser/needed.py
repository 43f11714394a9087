"""Which cells of a notebook its widgets need: the tour runs them all, a browser need not do so again."""

import ast
import builtins


class Names(ast.NodeVisitor):
    """Names that a cell takes from earlier ones, and names that it binds, in the order in which Python meets them."""

    def __init__(self):
        self.taken, self.bound = set(), set()

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            self.taken |= {node.id} - self.bound
        else:
            self.bound.add(node.id)

    def visit_Assign(self, node):
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)
            if isinstance(
                target, ast.Attribute | ast.Subscript
            ):  # a change of what is there: the cell counts as its maker
                self.bound |= {n.id for n in ast.walk(target.value) if isinstance(n, ast.Name)}

    def visit_AugAssign(self, node):
        self.visit(node.value)
        self.taken |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)} - self.bound
        self.visit(node.target)

    def visit_For(self, node):
        self.visit(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node):
        self.visit(node.iter)
        self.generic_visit(node)

    def visit_ListComp(self, node):
        for generator in node.generators:
            self.visit(generator)
        self.generic_visit(node)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def visit_FunctionDef(self, node):
        inner = Names()
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                inner.bound.add(argument.arg)
        for part in [*node.args.defaults, *node.decorator_list]:
            self.visit(part)
        for line in node.body:
            inner.visit(line)
        self.taken |= inner.taken - self.bound - {node.name}
        self.bound.add(node.name)

    def visit_Lambda(self, node):
        inner = Names()
        inner.bound |= {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
        inner.visit(node.body)
        self.taken |= inner.taken - self.bound

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        self.bound.add(node.name)

    def visit_Import(self, node):
        self.bound |= {(a.asname or a.name).split(".")[0] for a in node.names}

    visit_ImportFrom = visit_Import


def names(source):
    """(taken, bound) of a cell; lines of IPython's own are left out."""
    python = "\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())
    found = Names()
    found.visit(ast.parse(python))
    return found.taken - set(dir(builtins)), found.bound


def cells_needed(cells):
    """The code cells, in order, without those that no cell with a widget depends on."""
    wanted, kept = set(), []
    for cell in reversed([c for c in cells if c.cell_type == "code"]):
        taken, bound = names(cell.source)
        tags = set(cell.metadata.get("tags", []))
        if "widgets." in cell.source or tags & {"parameters", "injected-parameters"} or bound & wanted:
            wanted = (wanted - bound) | taken
            kept.append(cell)
    return kept[::-1]
