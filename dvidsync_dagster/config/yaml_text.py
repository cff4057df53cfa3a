"""YAML (and so JSON) as plain data: whatever is wrong with the text is said with its line."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

MOST_VALUES = 100_000
DEEPEST = 50
"""Far more than any configuration holds. A few lines of aliases can stand for billions of values."""


class Malformed(ValueError):
    """What is wrong with the text, such as ``is neither YAML nor JSON: …``."""


def read_documents(text: str) -> list[Any]:
    """The documents in the text, without empty ones.

    Raises:
        Malformed: it is not YAML, names a field twice, or holds what no configuration can.
    """
    try:
        documents = [document for document in yaml.load_all(text, _Loader) if document is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise Malformed(
            f"is neither YAML nor JSON: {getattr(error, 'problem', None) or 'malformed'}{where}"
        ) from None
    except RecursionError:
        raise Malformed("holds too many brackets inside each other") from None
    _check_size(documents)
    return documents


class _Loader(yaml.SafeLoader):
    """PyYAML's safe one, which lets an impossible number or time through as an exception of Python's, and
    takes the last of two values of one field without a word."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError):
            raise yaml.constructor.ConstructorError(
                problem="found a number or time that is out of range", problem_mark=node.start_mark
            ) from None

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        counts = Counter(key.value for key in keys)
        for key in keys:
            if counts[key.value] > 1:
                raise yaml.composer.ComposerError(
                    problem=f"found `{key.value[:100]}` twice, the first time", problem_mark=key.start_mark
                )
        return node


def _check_size(documents: list[Any]) -> None:
    waiting = [(document, 1) for document in documents]
    seen = 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | set) else ()
        if depth > DEEPEST or seen + len(inner) > MOST_VALUES:
            raise Malformed("holds too many values, perhaps by aliases (*NAME)")
        waiting.extend((each, depth + 1) for each in inner)
