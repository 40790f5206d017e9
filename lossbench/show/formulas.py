"""Formulas as docstrings write them -> MathML, with the words between them left to the page.

What is read: x_i, x^2, e^(a b), sum_{j != y}, a / b, |r|, ||x||, and the names of Greek letters,
functions, hyper-parameters and losses. All else of three letters or more is a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|eta|theta|lambda|mu|nu|pi|rho|sigma|tau|phi|psi|omega"
    "|Gamma|Delta|Phi"
)
LARGE = {"sum": "∑", "prod": "∏", "mean": "mean", "max": "max", "min": "min", "Var": "Var"}
FUNCTION = re.compile("log2?|exp|cosh?|sin|sqrt|softmax|sigmoid|softplus|lgamma|sp|ceil")
SHORT = re.compile("of|if|or|at|in|by|is|to|on|an|as|no|up")  # words as short as two indices
SIGNS = {"-": "−", "!=": "≠", "<=": "≤", ">=": "≥", "<-": "←", "..": "…", ".": "·", "||": "∥"}
RELATION = re.compile(r"[=<>+-]|[!<>]=|<-|\.\.|\|\|")
PRODUCT = re.compile("[.…*]")
CLOSING = {"(": ")", "[": "]", "{": "}", "|": "|", "||": "||"}
HALVES = {"½": "1/2", "¾": "3/4"}
PATTERN = (
    r"(?P<space>\s*)(?:(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?|[½¾])|(?P<stop>(?<!\s)[.,:;](?=\s|$))"
    r"|(?P<name>{names})\b|(?P<word>log2|[A-Za-z]{{2,}}(?:-[a-z]{{2,}})+|[A-Za-z]+(?:'s?)?)"
    r"|(?P<sign>!=|<=|>=|<-|\|\||\.\.|\S))"
)
NEW_LINE = re.compile(r"\S+ (=|<-|is) |A ")


@dataclass(frozen=True)
class Node:
    """A piece of MathML; bare: what a group has between its parentheses.

    kind: atom, large, operator, stop, slash or word. apart: whether a space is before it.
    """

    kind: str
    markup: str
    apart: bool = False
    bare: str = ""


def typeset(formula: str, names: Iterable[str] = ()) -> list[Markup]:
    """The lines of a formula for a page; names: of hyper-parameters and losses in it.

    >>> print(typeset("r^2")[0])
    <math displaystyle="true"><msup><mi>r</mi><mn>2</mn></msup></math>
    """
    lines: list[str] = []
    for line in formula.splitlines():
        if lines and not NEW_LINE.match(line):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return [_page(_Reader(line, {*names}).read(), ' displaystyle="true"') for line in lines]


def typeset_words(text: str) -> Markup:
    """A sentence with formulas in it."""
    return _page(_Reader(text, set()).read(), "")


def _page(nodes: Sequence[Node], style: str) -> Markup:
    """Words as text, and a formula for each part between them, so that lines may break."""
    parts: list[str] = []
    current: list[Node] = []

    def close() -> None:
        if current:
            parts.append(f"<math{style}>{_row(current)}</math>")
            current.clear()

    for node in nodes:
        if node.kind == "word":
            close()
            parts.append(node.markup)
        elif node.kind == "stop":
            close()
            parts[-1:] = [f"{''.join(parts[-1:])}{node.bare}"]
        elif node.kind == "operator" and current and "=" not in node.bare:
            close()
            markup = node.markup.replace("<mo>", '<mo form="infix">')
            current.append(replace(node, markup=markup))
        else:
            current.append(node)
            if node.kind == "operator" and "=" in node.bare:
                close()
    close()
    return Markup(" ".join(parts))


def _row(nodes: Sequence[Node]) -> str:
    """Pieces with the spaces that MathML does not make between them."""
    markup, before = "", "operator"
    for node in nodes:
        if node.apart and not {"operator", "slash"} & {node.kind, before}:
            width = ".3em" if {"word", "stop"} & {node.kind, before} else ".17em"
            markup += f'<mspace width="{width}"/>' if before != "stop" else ""
        markup += f"<mtext>{node.markup}</mtext>" if node.kind == "word" else node.markup
        before = node.kind
    return markup


def _one(nodes: Sequence[Node]) -> str:
    return nodes[0].markup if len(nodes) == 1 else f"<mrow>{_row(nodes)}</mrow>"


class _Reader:
    """A cursor on the tokens of one line."""

    def __init__(self, line: str, names: set[str]) -> None:
        joined = sorted((re.escape(n) for n in names if "_" in n), reverse=True)
        pattern = re.compile(PATTERN.format(names="|".join(joined) or "(?!)"))
        self.tokens = list(pattern.finditer(line.strip()))
        self.names, self.place = names, 0

    def text(self, ahead: int = 0) -> str:
        """A coming token; empty at the end."""
        at = self.place + ahead
        return self.tokens[at][0].strip() if at < len(self.tokens) else ""

    def read(self, until: str = "", *, flat: bool = False) -> list[Node]:
        """What there is up to a closing sign, which is passed; flat: without fractions."""
        nodes: list[Node] = []
        while self.text() and self.text() != until:
            nodes.append(self._slashed(nodes, flat) if self.text() == "/" else self._node(nodes))
        self.place += 1
        return nodes if flat else _divided(nodes)

    def _slashed(self, nodes: list[Node], flat: bool) -> Node:
        """a/b at once; of a / b the sign, as all around it belongs to it."""
        tight = not self.tokens[self.place]["space"]
        self.place += 1
        if not tight or flat or not nodes:
            return Node("slash", "<mo>/</mo>")
        above = nodes.pop()
        below = self._node(nodes)
        return Node("atom", _fraction([above], [below]), above.apart)

    def _node(self, before: Sequence[Node]) -> Node:
        if not self.text():
            return Node("atom", "")
        token = self.tokens[self.place]
        text, apart, kind = self.text(), bool(token["space"]), token.lastgroup
        if kind == "stop":
            self.place += 1
            return Node("stop", f'<mo separator="true">{text}</mo>', bare=text)
        if RELATION.fullmatch(text) and not (text == "||" and self._opens(before)):
            self.place += 1
            first = not before or before[-1].kind in ("operator", "stop", "word")
            form = ' form="prefix"' if first and text in "+-" else ""
            return Node("operator", f"<mo{form}>{escape(SIGNS.get(text, text))}</mo>", apart, text)
        if self._is_word(before):
            self.place += 1
            return Node("word", str(escape(text)), apart)
        return self._scripted(self._base(), apart)

    def _opens(self, before: Sequence[Node]) -> bool:
        """Whether a bar opens a norm: nothing is before it, or it stands apart from that only."""
        closing = self.place + 1 < len(self.tokens) and bool(self.tokens[self.place + 1]["space"])
        return not closing or not before or before[-1].kind != "atom"

    def _is_word(self, before: Sequence[Node]) -> bool:
        text, after = self.text(), self.text(1)
        if self.tokens[self.place].lastgroup != "word" or GREEK.fullmatch(text.rstrip("'")):
            return False
        is_named = bool(before) and before[-1].markup in ("the", "their") and len(text) > 1
        if is_named or SHORT.fullmatch(text):
            return True
        if text in ("a", "A"):
            return after != "the" and self._is_plain(after)
        if text in LARGE:
            return after == "over"
        if FUNCTION.fullmatch(text):
            return after == "of" or self._is_plain(after)
        return after not in ("_", "(", "^") and self._is_plain(text)

    def _is_plain(self, text: str) -> bool:
        """Whether it looks like a word of English."""
        known = text in self.names or text in LARGE
        known = known or bool(GREEK.fullmatch(text) or FUNCTION.fullmatch(text))
        return not known and bool(re.fullmatch(r"[A-Za-z]?[a-z]{2,}(-\w+|'s?)*", text))

    def _base(self) -> Node:
        """A name, a number, a group or a single sign."""
        if not self.text():
            return Node("atom", "")
        text, kind = self.text(), self.tokens[self.place].lastgroup
        self.place += 1
        if text in CLOSING:
            inner = _row(self.read(CLOSING[text]))
            left, right = (SIGNS.get(s, s) for s in (text, CLOSING[text]))
            if text == "{":
                return Node("atom", f"<mrow>{inner}</mrow>", bare=inner)
            fences = [f"<mo {side}>{s}</mo>" for side, s in zip(FENCES, (left, right), strict=True)]
            markup = f"<mrow>{fences[0]}{inner}{fences[1]}</mrow>"
            return Node("atom", markup, bare=inner if text in "([" else "")
        if kind == "number":
            above, _, below = HALVES.get(text, text).partition("/")
            numbers = f"<mn>{above}</mn><mn>{below}</mn>"
            return Node("atom", f"<mfrac>{numbers}</mfrac>" if below else f"<mn>{above}</mn>")
        if text == "sqrt" and self.text() == "(":
            return Node("atom", f"<msqrt>{self._base().bare}</msqrt>")
        if text in LARGE and (text != LARGE[text] or self.text() == "_"):
            space = "" if text != LARGE[text] else ' lspace="0" rspace=".17em"'
            return Node("large", f'<mo movablelimits="true"{space}>{LARGE[text]}</mo>')
        if PRODUCT.fullmatch(text):
            return Node("atom", f"<mo>{SIGNS.get(text, text)}</mo>")
        return Node("atom", _name(text))

    def _scripted(self, base: Node, apart: bool) -> Node:
        """The base with what is below and above it."""
        below = above = ""
        while self.text() in ("_", "^"):
            if self.text() == "_":
                below = self._below()
            else:
                above = self._above()
        tag = ("munder", "mover") if base.kind == "large" else ("msub", "msup")
        markup, scripts = base.markup, f"{below}{above}"
        if below and above:
            markup = f"<{tag[0]}{tag[1][1:]}>{markup}{scripts}</{tag[0]}{tag[1][1:]}>"
        elif scripts:
            name = tag[0] if below else tag[1]
            markup = f"<{name}>{markup}{scripts}</{name}>"
        return Node(base.kind, markup, apart, "" if scripts else base.bare)

    def _below(self) -> str:
        self.place += 1
        if self.text() == "{":
            self.place += 1
            return _one(self.read("}", flat=True))
        text = self.text()
        if re.fullmatch("[A-Za-z]{2}", text) and not GREEK.fullmatch(text) and text != "of":
            self.place += 1
            return f"<mrow>{''.join(map(_name, text))}</mrow>"
        return self._base().markup

    def _above(self) -> str:
        self.place += 1
        if self.text() in ("(", "{"):
            closing = CLOSING[self.text()]
            self.place += 1
            return _one(self.read(closing, flat=True))
        signs = []
        if self.text() == "-":
            self.place += 1
            signs.append(Node("operator", '<mo form="prefix">−</mo>'))
        base = self._base()
        if self.text() == "_":
            base = Node("atom", f"<msub>{base.markup}{self._below()}</msub>")
        return _one([*signs, base])


SPACES = 'stretchy="true" lspace="0" rspace="0"'
FENCES = (f'form="prefix" {SPACES}', f'form="postfix" {SPACES}')


def _name(text: str) -> str:
    """A letter in italics, a Greek one, or a name."""
    plain, prime = text.rstrip("'"), "′" * text.endswith("'")
    if plain.endswith("hat") and len(plain) == 4:
        return f"<mover><mi>{plain[0]}</mi><mo>ˆ</mo></mover>"
    if plain == "log2":
        return "<msub><mi>log</mi><mn>2</mn></msub>"
    if GREEK.fullmatch(plain):
        case = "CAPITAL" if plain[0].isupper() else "SMALL"
        letter = plain.upper().replace("LAMBDA", "LAMDA")
        plain = unicodedata.lookup(f"GREEK {case} LETTER {letter}")
    return f"<mi>{escape(plain)}{prime}</mi>"


def _divided(nodes: Sequence[Node]) -> list[Node]:
    """Each a / b as a fraction, of the whole products around the sign."""
    done: list[Node] = []
    rest = list(nodes)
    while rest:
        node = rest.pop(0)
        if node.kind != "slash":
            done.append(node)
            continue
        start = len(done)
        while start and done[start - 1].kind == "atom":
            start -= 1
        end = next((i for i, n in enumerate(rest) if n.kind in ENDS and i), len(rest))
        above, below = done[start:], rest[:end]
        done[start:] = [Node("atom", _fraction(above, below), above[0].apart if above else False)]
        rest = rest[end:]
    return done


ENDS = ("operator", "stop", "word", "slash")


def _fraction(above: Sequence[Node], below: Sequence[Node]) -> str:
    groups = [n[0].bare if len(n) == 1 and n[0].kind == "atom" else "" for n in (above, below)]
    rows = [bare or _row(n) for bare, n in zip(groups, (above, below), strict=True)]
    return "<mfrac>" + "".join(f"<mrow>{row}</mrow>" for row in rows) + "</mfrac>"
