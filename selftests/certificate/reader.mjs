// Reads a certificate as programs in another language do: sigstore's DSSE and in-toto's own message types, in JavaScript.
// node reader.mjs CERTIFICATE PUBLIC_KEY DESCRIPTORS: one line of JSON; exit 1 where a part does not hold, and says which.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/package.json`);
const { crypto, dsse } = require("@sigstore/core");
const { Envelope } = require("@sigstore/protobuf-specs");
const { createFileRegistry, fromBinary, fromJson, toJson } = require("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");

const [certificate, publicKey, descriptors] = process.argv.slice(2);
const envelope = Envelope.fromJSON(JSON.parse(readFileSync(certificate, "utf8")));
const signed = dsse.preAuthEncoding(envelope.payloadType, envelope.payload);
const key = crypto.createPublicKey(readFileSync(publicKey, "utf8"));
if (!envelope.signatures.some((one) => crypto.verify(signed, key, one.sig))) {
  console.log("no signature is of this payload and that key");
  process.exit(1);
}
// What in-toto publishes of its types, as its Python package carries it.
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const type = registry.getMessage("in_toto_attestation.v1.Statement");
try {
  const statement = fromJson(type, JSON.parse(Buffer.from(envelope.payload).toString("utf8")), { registry });
  const plain = toJson(type, statement, { registry });
  console.log(JSON.stringify({ type: plain._type, subjects: plain.subject.length, predicateType: plain.predicateType }));
} catch (error) {
  console.log(`no in-toto Statement: ${error.message}`);
  process.exit(1);
}
