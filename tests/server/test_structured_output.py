"""Answers that must obey a schema obey it: every kind of schema, streamed or not, cut or whole, alone or among others.

Each schema here has few instances, so that any model whose answer is constrained ends within a few tokens, whatever it
would have said. jsonschema, which no engine generates with, is the judge.
"""

from __future__ import annotations

import json
import re
from functools import partial

import jsonschema
import pytest

from hallmark.client.asking import together
from hallmark.client.canary import CHAT, Canary, text_of
from hallmark.client.refusal import require_no_breakdown, require_refused
from hallmark.client.text import finish_reason, joined_text, part
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server

ASKED = [{"role": "user", "content": "json: Ada 31"}]
LONG_ENOUGH = 160
COLOUR = {"enum": ["red", "blue", "green"]}


def object_of(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


SCHEMAS = {
    "enum": object_of(colour=COLOUR, size={"enum": [1, 22, 333]}),
    "const": object_of(kind={"const": "lamp"}, colour=COLOUR),
    "boolean": object_of(lit={"type": "boolean"}),
    "null": object_of(nothing={"type": "null"}, colour=COLOUR),
    "integer-range": object_of(level={"type": "integer", "minimum": 3, "maximum": 12}),
    "nested": object_of(house=object_of(room=object_of(lamp=object_of(colour=COLOUR), doors={"enum": [1, 2]}))),
    "array": object_of(colours={"type": "array", "items": COLOUR, "minItems": 2, "maxItems": 3}),
    "array-of-objects": object_of(
        lamps={"type": "array", "items": object_of(colour=COLOUR, lit={"type": "boolean"}), "minItems": 1, "maxItems": 2}
    ),
    "any-of": object_of(found={"anyOf": [object_of(colour=COLOUR), {"type": "null"}]}),
    "definitions": {
        **object_of(left={"$ref": "#/$defs/lamp"}, right={"$ref": "#/$defs/lamp"}),
        "$defs": {"lamp": object_of(colour=COLOUR)},
    },
    "pattern": object_of(code={"type": "string", "pattern": "^[a-c]{3}-[0-9]{2}$"}),
    "unicode": object_of(größe={"enum": ["weiß", "世界", "🚀", 'a "quoted" \\ one']}),
}
# Keywords that some engines cannot generate by: an answer that obeys is as good as a refusal, one that does not is neither.
KEYWORDS = {
    "multipleOf": {"type": "integer", "minimum": 1, "maximum": 20, "multipleOf": 7},
    "exclusiveMinimum": {"type": "integer", "exclusiveMinimum": 3, "maximum": 5},
    "minLength": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[ab]*$"},
    "format": {"type": "string", "format": "date"},
    "uniqueItems": {"type": "array", "items": COLOUR, "minItems": 3, "maxItems": 3, "uniqueItems": True},
    "contains": {"type": "array", "items": COLOUR, "minItems": 2, "maxItems": 2, "contains": {"const": "green"}},
    "prefixItems": {"type": "array", "prefixItems": [COLOUR, {"const": 5}], "items": False, "minItems": 2, "maxItems": 2},
    "oneOf": {"oneOf": [{"const": "lamp"}, {"const": 5}]},
    "allOf": {"allOf": [{"enum": ["red", "blue"]}, {"enum": ["blue", "green"]}]},
    "not": {"enum": ["red", "blue"], "not": {"const": "red"}},
    "patternProperties": {"type": "object", "patternProperties": {"^a$": {"const": 1}}, "additionalProperties": False},
    "if": {"enum": ["red", "blue"], "if": {"const": "red"}, "then": {"const": "blue"}},
}
INSTANCES = [
    {"name": "Ada", "age": 31},
    [1, -2, 30.5, 0],
    {"deep": [{"er": [None, True, False]}]},
    'a "quoted" \\ line\nand\ttab',
    "Grüße, 世界! 🚀",
    {"": "no name", "a b": 1},
]
BROKEN_SCHEMAS = {
    "an unknown type": {"type": "no-such-type"},
    "a type that is a number": {"type": 5},
    "properties that are a list": {"type": "object", "properties": ["a"]},
    "an enum that is a text": {"enum": "red"},
    "a reference to nowhere": {"$ref": "#/$defs/nowhere"},
    "a pattern that is none": {"type": "string", "pattern": "(((["},
    "minItems above maxItems": {"type": "array", "minItems": 5, "maxItems": 1},
}
BROKEN_FORMATS = {
    "an unknown kind of format": {"type": "no-such-format"},
    "a format that is a text": "json",
    "a schema that is missing": {"type": "json_schema"},
    "a schema that is a text": {"type": "json_schema", "json_schema": {"name": "x", "schema": "object"}},
}


def format_of(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def body_for(client, schema, **fields):
    given = {"messages": ASKED, "temperature": 0, "max_tokens": LONG_ENOUGH, "response_format": format_of(schema), **fields}
    return client.body(**given)


def require_valid(text, schema, answer=None, *, what):
    """What `text` says; CheckFailed where it is no JSON, or breaks the schema."""
    fail = answer.failure if answer else CheckFailed
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise fail(f"{what}: no JSON ({exc}): {text[:200]!r}") from exc
    wrong = next(jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).iter_errors(value), None)
    if wrong:
        place = "/".join(map(str, wrong.absolute_path)) or "the whole"
        raise fail(f"{what}: {place} breaks the schema ({wrong.message[:120]}): {text[:200]!r}")
    return value


def whole(client, schema, what, **fields):
    """The texts of a valid answer's choices; without those that were cut, and say so."""
    answer = client.post(CHAT, body_for(client, schema, **fields))
    texts = []
    for choice in part(answer.require(200).json(), "choices"):
        if (why := choice.get("finish_reason")) == "length":
            continue
        if why != "stop":
            raise answer.failure(f"{what}: finish_reason is {why!r}, neither 'stop' nor 'length'")
        require_valid(part(choice, "message", "content"), schema, answer, what=what)
        texts.append(part(choice, "message", "content"))
    return texts


def streamed(client, schema, what):
    events = list(client.stream(CHAT, body_for(client, schema, stream=True)))
    if finish_reason(events) == "length":
        return []
    require_valid(joined_text(events), schema, what=f"{what}, streamed")
    return [joined_text(events)]


def require_some(check, name, lists, *, of):
    """Note how many of `of` answers were valid and whole; Inconclusive where every one was cut."""
    texts = [text for one in lists for text in one]
    if not texts:
        raise Inconclusive(f"{name}: all {of} answers were cut at {LONG_ENOUGH} tokens, so none can be judged")
    check.observe(name, len(texts), n=of, detail={"answers": texts[:12]})


@pytest.mark.parametrize(
    "case",
    [
        "enum",
        "const",
        "boolean",
        "null",
        "integer-range",
        "nested",
        "array",
        "array-of-objects",
        "any-of",
        "definitions",
        "pattern",
        "unicode",
    ],
)
@pytest.mark.check(
    "server.structured.schema.{case}",
    title="An answer obeys its schema, greedy, sampled and streamed: {case}",
    needs=("chat", "structured_output"),
    source="OpenAI guide: structured outputs, supported schemas (2026-08); arXiv 2501.10868 (JSONSchemaBench)",
    covers=["J01", "J12"],
    fault="schema-ignores",
)
def test_an_answer_obeys_its_schema(case, client, check):
    schema = SCHEMAS[case]
    calls = [partial(whole, client, schema, case), partial(whole, client, schema, f"{case}, sampled", temperature=1, seed=7)]
    calls.append(partial(streamed, client, schema, case))
    require_some(check, "valid answers", together(calls), of=len(calls))


@pytest.mark.parametrize(
    "keyword",
    [
        "multipleOf",
        "exclusiveMinimum",
        "minLength",
        "format",
        "uniqueItems",
        "contains",
        "prefixItems",
        "oneOf",
        "allOf",
        "not",
        "patternProperties",
        "if",
    ],
)
@pytest.mark.check(
    "server.structured.keyword.{keyword}",
    title="A keyword of JSON Schema is obeyed, or refused by a 4xx, and never ignored: {keyword}",
    needs=("chat", "structured_output"),
    source="OpenAI guide: structured outputs, an error for unsupported schemas (2026-08); vLLM issue 11363 (2024)",
    covers=["J01", "J11"],
    fault="unknown-keywords-ignored",
)
def test_no_keyword_is_ignored(keyword, client, check):
    schema = object_of(value=KEYWORDS[keyword])
    answer = client.post(CHAT, body_for(client, schema))
    if not require_no_breakdown(answer, keyword):
        check.observe(keyword, "refused")
    elif part(answer.json(), "choices", 0, "finish_reason") == "length":
        raise Inconclusive(f"the answer was cut at {LONG_ENOUGH} tokens: {text_of(answer)[:80]!r}")
    else:
        require_valid(text_of(answer), schema, answer, what=keyword)
        check.observe(keyword, "obeyed", detail={"answer": text_of(answer)})


@pytest.mark.check(
    "server.structured.only-instance",
    title="A schema that one value alone obeys is answered with that value, whatever the model would say",
    needs=("chat", "structured_output"),
    source="OpenAI guide: structured outputs, const and enum (2026-08); arXiv 2501.10868 (over-constrained schemas)",
    covers="J02",
    fault="garbles-constants",
)
def test_the_only_instance_is_the_answer(client, check):
    schemas = [object_of(value={"const": value}) for value in INSTANCES]
    answers = together([partial(client.post, CHAT, body_for(client, schema)) for schema in schemas])
    answered = 0
    for value, answer in zip(INSTANCES, answers, strict=True):
        # An engine may know constants of some types alone; it has to say so.
        if not require_no_breakdown(answer, f"const {json.dumps(value)}"):
            continue
        if part(answer.json(), "choices", 0, "finish_reason") == "length":
            continue
        found = require_valid(text_of(answer), {"type": "object"}, answer, what=f"const {json.dumps(value)}")
        if found != {"value": value}:
            raise answer.failure(f"the only answer is {json.dumps({'value': value})}, and it said {text_of(answer)!r}")
        answered += 1
    if not answered:
        raise Inconclusive("each constant was refused, or its answer cut, so none can be judged")
    check.observe("constants that were answered", answered, n=len(INSTANCES))


@pytest.mark.check(
    "server.structured.json-object",
    title="Asked for a JSON object, the answer is one, whole and streamed, or says that it was cut",
    needs=("chat", "structured_output"),
    source="OpenAI API reference: response_format json_object (openapi.yaml of 2026-08-21)",
    fault="no-object",
)
def test_an_object_is_answered(client, check):
    schema, fields = {"type": "object"}, {"response_format": {"type": "json_object"}}
    events = list(client.stream(CHAT, body_for(client, schema, stream=True, **fields)))
    texts = [
        whole(client, schema, "json_object", **fields),
        whole(client, schema, "json_object", temperature=1, seed=3, **fields),
    ]
    if finish_reason(events) != "length":
        require_valid(joined_text(events), schema, what="json_object, streamed")
        texts.append([joined_text(events)])
    require_some(check, "objects", texts, of=3)


@pytest.mark.check(
    "server.structured.each-choice",
    title="Of several choices each obeys the schema",
    needs=("chat", "structured_output"),
    source="OpenAI API reference: n (openapi.yaml of 2026-08-21); SGLang tests: reasoning and JSON schema with n (2026)",
    fault="constrains-first-choice",
)
def test_each_choice_obeys(client, check):
    texts = whole(client, SCHEMAS["enum"], "one of 4 choices", n=4, temperature=1, seed=11)
    require_some(check, "valid choices", [texts], of=4)


@pytest.mark.check(
    "server.structured.at-once",
    title="Schemas are obeyed by 32 answers at once as by one alone",
    needs=("chat", "structured_output"),
    source="vLLM issue 19493 (2025); omlx issue 691 (2026): 57 % valid at two at once",
    covers=["J04", "J12"],
    fault="constrains-few",
)
def test_schemas_are_obeyed_at_once(client, check):
    cases = (list(SCHEMAS) * 3)[:32]
    calls = [partial(whole, client, SCHEMAS[case], f"{case}, one of 32 at once") for case in cases]
    require_some(check, "valid answers of 32 at once", together(calls, at_once=32), of=32)


@pytest.mark.check(
    "server.structured.neighbours",
    title="Answers without a schema are free beside answers with one, and after them",
    needs=("chat", "structured_output"),
    source="vLLM issue 19493 (2025): one request's grammar bound others",
    covers="J08",
    fault="grammar-leaks",
)
def test_free_answers_stay_free(client, check):
    canary = Canary(client, CHAT)
    free = [partial(client.post, CHAT, canary.body()) for _ in range(8)]
    bound = [partial(client.post, CHAT, body_for(client, SCHEMAS["nested"])) for _ in range(8)]
    mixed = [call for pair in zip(free, bound, strict=True) for call in pair]
    answers = together(mixed, at_once=16)
    if not any(answer.status == 200 for answer in answers[1::2]):
        raise Inconclusive(f"no answer with a schema was beside the free ones: {answers[1].what} answers {answers[1].status}")
    said = [text_of(answer) for answer in answers[::2]]
    changed = [text for text in said if text not in canary.known]
    if len(changed) * 2 > len(said):  # in a batch, one near-tie may fall otherwise
        raise CheckFailed(
            f"beside answers with a schema, {len(changed)} of {len(said)} free ones say {changed[0]!r}, not {canary.known[0]!r}"
        )
    check.observe("the same answer after them", canary.same_after("answers with a schema"), n=len(said))


@pytest.mark.check(
    "server.structured.cut",
    title="An answer that is cut says length, and is the beginning of a valid one",
    needs=("chat", "structured_output"),
    source="OpenAI API reference: finish_reason length (openapi.yaml of 2026-08-21); vLLM issue 52011 (2026)",
    covers="J06",
    fault="cut-json-says-stop",
)
def test_a_cut_answer_is_a_beginning(client, check):
    schema = object_of(value={"const": "abcdefghijklmnopqrstuvwxyz"})
    wanted = '{"value":"abcdefghijklmnopqrstuvwxyz"}'
    calls = [partial(client.post, CHAT, body_for(client, schema, max_tokens=limit)) for limit in range(1, 7)]
    cut = 0
    for limit, answer in enumerate(together(calls), 1):
        said, why = text_of(answer), part(answer.json(), "choices", 0, "finish_reason")
        told = "".join(said.split())  # blanks between the parts are free
        if told != wanted and why != "length":
            raise answer.failure(f"at max_tokens={limit} it said {said!r} and ended by {why!r}, not 'length'")
        if not wanted.startswith(told):
            raise answer.failure(f"at max_tokens={limit} it said {said!r}, with which no valid answer begins")
        cut += why == "length"
    if not cut:
        raise Inconclusive("no answer was cut: its whole has fewer than 7 tokens")
    check.observe("cut answers that say so", cut)


@pytest.mark.check(
    "server.structured.bounded",
    title="A schema with endless instances ends at max_tokens at the latest, and leaves the server free",
    needs=("chat", "structured_output"),
    source="vLLM issues 52011, 13260, 55313 (2025, 2026): endless blanks",
    covers="J05",
    fault="endless-json",
)
def test_endless_instances_end(client, check):
    canary = Canary(client, CHAT)
    schemas = {"anything": {}, "a number": {"type": "number"}, "a text": {"type": "string"}, "a list": {"type": "array"}}
    calls = [partial(client.post, CHAT, body_for(client, schema, max_tokens=48)) for schema in schemas.values()]
    for what, answer in zip(schemas, together(calls), strict=True):
        if not require_no_breakdown(answer, f"a schema for {what}"):
            continue
        told = answer.json()
        made, why = part(told, "usage", "completion_tokens"), part(told, "choices", 0, "finish_reason")
        if made > 48 or (made < 48 and why != "stop"):
            raise answer.failure(f"{what}: {made} tokens of 48 at most, ended by {why!r}")
    check.observe("the same answer after them", canary.same_after("schemas with endless instances"))


@pytest.mark.check(
    "server.structured.broken-schemas",
    title="A schema that is none is refused with a 4xx, and does no harm",
    needs=("chat", "structured_output"),
    source="vLLM issues 17248, 17313, 19270 (2025): a bad schema ended the engine",
    covers=["J03", "E12"],
    fault="breaks-on-schemas",
)
def test_broken_schemas_are_refused(client, check):
    canary = Canary(client, CHAT)
    for what, schema in BROKEN_SCHEMAS.items():
        require_refused(client.post(CHAT, body_for(client, schema)), what)
        refused = client.post(CHAT, body_for(client, schema, stream=True))
        # A schema may be read when the stream has begun; then an error stands in it, and no answer.
        if refused.status != 200 or '"error"' not in refused.body_text or '"content"' in refused.body_text:
            require_refused(refused, f"{what}, streamed")
        canary.same_after(what)
    check.observe("refused", len(BROKEN_SCHEMAS), detail={"schemas": list(BROKEN_SCHEMAS)})


@pytest.mark.check(
    "server.structured.broken-formats",
    title="A response_format that is none is refused with a 4xx",
    needs=("chat", "structured_output"),
    source="OpenAI API reference: response_format (openapi.yaml of 2026-08-21)",
    covers="J03",
    fault="lenient-formats",
)
def test_broken_formats_are_refused(client, check):
    bodies = [body_for(client, {}, response_format=shape) for shape in BROKEN_FORMATS.values()]
    for what, answer in zip(BROKEN_FORMATS, together([partial(client.post, CHAT, body) for body in bodies]), strict=True):
        require_refused(answer, what)
    check.observe("the same answer after them", Canary(client, CHAT).same_after("broken formats"), n=len(bodies))


CHOICES = ["lamp", "golden lamp", "42", "世界"]
REGEX = "[a-c]{3}-[0-9]{2}"
GRAMMAR = 'root ::= "lamp " ("red" | "blue")'
CONSTRAINTS = {
    "choice": ({"choice": CHOICES}, lambda text: text in CHOICES),
    "regex": ({"regex": REGEX}, lambda text: re.fullmatch(REGEX, text)),
    "grammar": ({"grammar": GRAMMAR}, lambda text: text in ("lamp red", "lamp blue")),
    "json": ({"json": SCHEMAS["enum"]}, lambda text: require_valid(text, SCHEMAS["enum"], what="json")),
}


@pytest.mark.parametrize("case", ["choice", "regex", "grammar", "json"])
@pytest.mark.check(
    "server.structured.grammars.{case}",
    title="An answer obeys its constraint, whole and streamed: {case}",
    needs=("chat", "field:structured_outputs"),
    source="vLLM documentation: structured outputs (v0.32)",
    fault="grammars-ignored",
)
def test_an_answer_obeys_its_grammar(case, client, check):
    constraint, obeys = CONSTRAINTS[case]
    body = client.body(messages=ASKED, temperature=0, max_tokens=LONG_ENOUGH, structured_outputs=constraint)
    answer, events = together([partial(client.post, CHAT, body), lambda: list(client.stream(CHAT, {**body, "stream": True}))])
    for what, text in (("whole", text_of(answer)), ("streamed", joined_text(events))):
        if not obeys(text):
            raise CheckFailed(f"{what}: {text!r} does not obey {json.dumps(constraint, ensure_ascii=False)}\n{answer.told()}")
    check.equal("streamed answer", joined_text(events), text_of(answer))


@pytest.mark.check(
    "server.structured.grammars.broken",
    title="A constraint that is none is refused with a 4xx, and does no harm",
    needs=("chat", "field:structured_outputs"),
    source="vLLM issues 17313, 17894 (2025): a bad expression ended the engine",
    covers=["J03", "E12"],
    fault="breaks-on-grammars",
)
def test_broken_grammars_are_refused(client, check):
    canary = Canary(client, CHAT)
    broken = {
        "a regular expression": {"regex": "(((["},
        "a grammar": {"grammar": "root ::= nowhere |||"},
        "choices": {"choice": []},
    }
    for what, constraint in broken.items():
        body = client.body(messages=ASKED, max_tokens=8, structured_outputs=constraint)
        require_refused(client.post(CHAT, body), f"{what} that is none")
        canary.same_after(f"{what} that is none")
    check.observe("refused", len(broken))
