import json

import pytest

from lavida.constrain.language import LARGEST_SCHEMA
from lavida.edit.extract import as_schema, field_confidence, leaves
from lavida.errors import RequestError
from lavida.text.forms import form_question


@pytest.mark.parametrize(
    "value",
    [
        {"shop": "Blue Café", "total": 12.5, "open": True, "none": None},
        {"items": [{"name": 'a, "b"', "price": 1}, {"name": "}", "price": -2e3}], "empty": {}, "list": []},
        [1, [2, "x"]],
        "alone",
        {"a/b~": {"é": 1}},
    ],
)
@pytest.mark.parametrize("style", [{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}])
def test_every_leaf_is_found_where_it_stands(value, style):
    data = json.dumps(value, **style).encode()
    for pointer, start, end in leaves(data):
        wanted = value
        for name in pointer.split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            wanted = wanted[int(name)] if isinstance(wanted, list) else wanted[name]
        assert json.loads(data[start:end]) == wanted
    assert len(list(leaves(data))) == _count(value)


def _count(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 1 if inner is None else sum(map(_count, inner))


def test_a_confidence_is_the_product_over_the_tokens_of_a_field():
    pieces = [b'{"', b"a", b'": "', b"x", b"y", b'", "b', b'": 1', b"2", b"}"]
    sure = [1.0, 1.0, 0.9, 0.5, 0.4, 0.8, 0.7, 0.6, 0.1]
    found = field_confidence(pieces, sure)
    assert found == {"/a": pytest.approx(0.9 * 0.5 * 0.4 * 0.8), "/b": pytest.approx(0.7 * 0.6)}


def test_a_schema_may_be_a_mapping_a_file_or_a_class(tmp_path):
    class Receipt:
        @staticmethod
        def model_json_schema():
            return {"title": "Receipt", "properties": {"total": {}, "shop": {}}}

    schema = as_schema(Receipt)
    (tmp_path / "r.json").write_text(json.dumps(schema))
    assert as_schema(tmp_path / "r.json") == as_schema(str(tmp_path / "r.json")) == as_schema(schema) == schema
    assert form_question(schema) == "Read the Receipt as JSON: total, shop." and form_question({}).endswith("as JSON.")


@pytest.mark.parametrize(
    ("text", "says"), [("{", "is not JSON"), ("[1]", "no JSON object"), ("[" * 99999, "too deeply")]
)
def test_a_broken_schema_is_told(tmp_path, text, says):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(RequestError, match=says):
        as_schema(tmp_path / "s.json")
    with pytest.raises(RequestError, match="name a file of JSON"):
        as_schema(tmp_path / "none.json")
    with pytest.raises(RequestError, match="not int"):
        as_schema(3)
    (tmp_path / "large.json").write_text(json.dumps({"title": "x" * LARGEST_SCHEMA}))
    with pytest.raises(RequestError, match="bytes; a schema has"):
        as_schema(tmp_path / "large.json")
