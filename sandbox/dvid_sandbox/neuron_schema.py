"""The JSON schema of a neuronjson instance, which its annotations must keep to."""

from __future__ import annotations

from typing import Any

import orjson
from jsonschema import ValidationError
from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for
from referencing.exceptions import Unresolvable

from dvid_sandbox.exchange import Lacking, Refused

Fields = dict[str, Any]


def checked(schema: bytes, fields: Fields) -> Fields:
    """The fields, texts made numbers where the schema wants an integer.

    Raises:
        Refused: they do not keep to the schema. One that is no schema asks for nothing.
    """
    try:
        rules = orjson.loads(schema)
        kind = validator_for(rules, default=Draft202012Validator)
        kind.check_schema(rules)
    except (orjson.JSONDecodeError, SchemaError):
        return fields
    try:
        found = list(kind(rules).iter_errors(fields))
    except Unresolvable as unresolved:
        raise Lacking("a JSON schema that refers to others") from unresolved
    result = dict(fields)
    for error in found:
        name = error.path[0] if len(error.path) == 1 else None
        if not _wants_integer(error) or not isinstance(name, str):
            where = "/".join(str(each) for each in error.path)
            raise Refused(f"jsonschema: '/{where}' does not validate: {error.message}")
        try:
            result[name] = int(fields[name])
        except ValueError:
            raise Refused(f'strconv.ParseInt: parsing "{fields[name]}": invalid syntax') from None
    return checked(schema, result) if found else result


def _wants_integer(error: ValidationError) -> bool:
    wanted = error.validator_value
    kinds = wanted if isinstance(wanted, list) else [wanted]
    return error.validator == "type" and "integer" in kinds and isinstance(error.instance, str)
