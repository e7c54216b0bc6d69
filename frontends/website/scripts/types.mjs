// From the schemas of the API document (standard input) to types (standard output); `ops/website.py` says when.
import { text } from "node:stream/consumers";
import openapiTS, { astToString } from "openapi-typescript";

const schemas = JSON.parse(await text(process.stdin));
const tree = await openapiTS({ openapi: "3.1.0", info: { title: "Tessera", version: "1" }, paths: {}, components: { schemas } });
process.stdout.write(astToString(tree));
