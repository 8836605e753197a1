"""What others read of our certificates: in-toto's own parser in Python, and one in JavaScript with sigstore's DSSE."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, json_format, struct_pb2
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import resource_descriptor_pb2, statement_pb2
from in_toto_attestation.v1.statement import Statement

from selftests.certificate.alterations import another_signature
from selftests.certificate.conftest import Key

FILES = ("certificate.json", "certificate.test-result.json", "certificate.svr.json")
READER = Path(__file__).with_name("reader.mjs")
PACKAGES = {"@bufbuild/protobuf": "2.17.0", "@sigstore/core": "4.0.1", "@sigstore/protobuf-specs": "0.5.2"}


def plain(path: Path) -> Any:
    return json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))


def by_in_toto(statement: Any) -> Statement:
    """Read and validated by in-toto's own package, which takes no field that it does not know."""
    read = Statement.copy_from_pb(json_format.ParseDict(statement, statement_pb2.Statement()))
    read.validate()
    return read


@pytest.mark.parametrize("name", FILES)
def test_in_toto_reads_each_statement(name: str, signed: Path) -> None:
    read = by_in_toto(plain(signed / name))
    assert json_format.MessageToDict(read.pb.predicate) == plain(signed / name)["predicate"]
    assert read.pb.subject[0].digest["sha256"] == plain(signed / name)["subject"][0]["digest"]["sha256"]


def no_subject(statement: Any) -> None:
    statement["subject"] = []


def no_digest(statement: Any) -> None:
    statement["subject"][1]["digest"] = {}


def another_type(statement: Any) -> None:
    statement["_type"] = "https://in-toto.io/Statement/v0.1"


@pytest.mark.parametrize("change", [no_subject, no_digest, another_type])
def test_in_toto_refuses_what_is_no_statement(change: Callable[[Any], None], signed: Path) -> None:
    change(statement := plain(signed / "certificate.json"))
    with pytest.raises(ValueError, match=r"required|Wrong"):
        by_in_toto(statement)


def test_in_toto_reads_the_test_result(signed: Path) -> None:
    predicate = plain(signed / "certificate.test-result.json")["predicate"]
    read = json_format.ParseDict(predicate, test_result_pb2.TestResult())
    assert (read.result, len(read.passed_tests), len(read.configuration)) == ("PASSED", len(predicate["passedTests"]), 1)
    with pytest.raises(json_format.ParseError, match="skippedTests"):
        json_format.ParseDict(predicate | {"skippedTests": []}, test_result_pb2.TestResult())


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages that the reader needs, and with in-toto's message types."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("not tested: no node")
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}), encoding="utf-8")
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
    (folder / "types.bin").write_bytes(message_types())
    return folder


def message_types() -> bytes:
    """What in-toto publishes of its types, as its Python package carries it: a FileDescriptorSet."""
    types = descriptor_pb2.FileDescriptorSet()
    for module in (struct_pb2, resource_descriptor_pb2, statement_pb2):
        module.DESCRIPTOR.CopyToProto(file := types.file.add())
        for message in file.message_type:
            _with_json_names(message, module.DESCRIPTOR.message_types_by_name[message.name])
    return types.SerializeToString()


def _with_json_names(message: Any, known: Any) -> None:
    """The names of fields in JSON, which Python's copy leaves out."""
    for one in message.field:
        one.json_name = known.fields_by_name[one.name].json_name
    for nested in message.nested_type:
        _with_json_names(nested, known.nested_types_by_name[nested.name])


def by_javascript(folder: Path, certificate: Path, key: Key) -> tuple[int, str]:
    words = ["node", str(READER), str(certificate), key.public, str(folder / "types.bin")]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.long
def test_javascript_reads_each_statement_and_its_signature(
    javascript: Path, signed: Path, ours: Key, stranger: Key, tmp_path: Path
) -> None:
    for name in FILES:
        code, said = by_javascript(javascript, signed / name, ours)
        statement = plain(signed / name)
        expected = {"type": statement["_type"], "subjects": 6, "predicateType": statement["predicateType"]}
        assert (code, json.loads(said)) == (0, expected), said
    assert by_javascript(javascript, signed / FILES[0], stranger)[0] == 1
    envelope = json.loads((signed / FILES[0]).read_bytes())
    another_signature(envelope)
    (tmp_path / "altered.json").write_text(json.dumps(envelope), encoding="utf-8")
    code, said = by_javascript(javascript, tmp_path / "altered.json", ours)
    assert (code, said) == (1, "no signature is of this payload and that key\n")
