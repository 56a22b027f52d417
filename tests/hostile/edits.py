"""Edits of a tree of JSON, drawn at random."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.hostile.values import CALL, KEYS, NAMES, NUMBERS, TAGGED, TEXTS, hostile_value


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys."""
    found, rest = [], [tree]
    while rest:
        given = rest.pop()
        items = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
        for key, value in items:
            found.append((given, key))
            rest.append(value)
    return found


def spoiled(tree: Any, random: random.Random) -> Any:
    """The tree, spoiled at one to four places."""
    tree = copy.deepcopy(tree)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        places = _places(tree)
        if not places:
            return hostile_value(random)
        holder, key = random.choice(places)
        other, far = random.choice(places)
        _EDITS[random.randrange(len(_EDITS))](random, holder, key, other, far)
    return tree


def _delete(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    del holder[key]


def _double(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    if isinstance(holder, list):
        holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    else:
        holder[random.choice((*NAMES, *KEYS, CALL))] = copy.deepcopy(holder[key])


def _rename(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    if isinstance(holder, dict):
        name = random.choice((*TEXTS, *KEYS, *TAGGED))
        items = [(name if each == key else each, value) for each, value in holder.items()]
        holder.clear()
        holder.update(items)


def _swap(random: random.Random, holder: Any, key: Any, other: Any, far: Any) -> None:
    if type(holder[key]) is type(other[far]) and not isinstance(holder[key], (dict, list)):
        holder[key], other[far] = other[far], holder[key]
    else:
        holder[key] = copy.deepcopy(other[far])


def _replace(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    """By something of the same kind if the die says so."""
    value = holder[key]
    if isinstance(value, str) and value[:1] in ("[", "{") and random.random() < 0.7:
        try:
            holder[key] = json.dumps(spoiled(json.loads(value), random))
            return
        except ValueError:
            pass
    if isinstance(value, str) and random.random() < 0.6:
        holder[key] = random.choice(TEXTS)
    elif type(value) in (int, float) and random.random() < 0.6:
        holder[key] = random.choice(NUMBERS)
    elif isinstance(value, dict) and len(value) == 1 and random.random() < 0.4:
        holder[key] = {random.choice(list(TAGGED)): next(iter(value.values()))}
    else:
        holder[key] = hostile_value(random)


def _nudge(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    value = holder[key]
    if isinstance(value, str) and value:
        at = random.randrange(len(value))
        holder[key] = value[:at] + random.choice(("", "_1", "0", "9", "(", "'", ".", ";", ",", value)) + value[at + 1 :]
    elif type(value) is int:
        holder[key] = value + random.choice((1, -1, 100))
    else:
        holder[key] = hostile_value(random)


def _add(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    if isinstance(holder, dict):
        holder[random.choice((*KEYS, *NAMES))] = hostile_value(random)
    else:
        holder.insert(key, hostile_value(random))


def _retag(random: random.Random, holder: Any, key: Any, *_: Any) -> None:
    """A tag of the schema for another."""
    tags = ("as_tensor", "as_tensors", "as_int", "as_ints", "as_string", "as_sym_int", "as_none", "as_name", "as_expr")
    if isinstance(holder, dict) and str(key).startswith("as_"):
        holder[random.choice(tags)] = holder.pop(key)
    else:
        _replace(random, holder, key)


_EDITS = (_delete, _double, _rename, _swap, _swap, _replace, _replace, _replace, _nudge, _nudge, _add, _retag)
