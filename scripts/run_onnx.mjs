// Runs an ONNX model with ONNX Runtime, as an opinion independent of lathe.
//   node run_onnx.mjs MODEL INPUT OUTPUT SHAPE BATCH [NODE_MODULES]
// INPUT and OUTPUT are raw little-endian float32, SHAPE is the input's, such as 8x3x32x32; the model is run on BATCH of
// its images at a time. Prints the output's shape on one line. Exit code 3: the package onnxruntime-node is not there.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const [model, inputFile, outputFile, shapeText, batchText, nodeModules] = process.argv.slice(2);
const shape = shapeText.split("x").map(Number);
const batch = Number(batchText);

function loadRuntime() {
  const from = nodeModules ? path.join(nodeModules, "here.js") : path.join(process.cwd(), "here.js");
  try {
    return createRequire(from)("onnxruntime-node");
  } catch (error) {
    console.error(`onnxruntime-node cannot be loaded: ${error.message.split("\n")[0]}`);
    process.exit(3);
  }
}

const runtime = loadRuntime();
const session = await runtime.InferenceSession.create(model, {
  executionProviders: ["cpu"],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 3,
});
const bytes = readFileSync(inputFile);
const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const stride = (values.length / shape[0]) * batch;
const parts = [];
let outputShape = [];
for (let begin = 0; begin < values.length; begin += stride) {
  const slice = values.slice(begin, begin + stride);
  const feeds = { [session.inputNames[0]]: new runtime.Tensor("float32", slice, [batch, ...shape.slice(1)]) };
  const output = (await session.run(feeds))[session.outputNames[0]];
  outputShape = [shape[0], ...output.dims.slice(1)];
  parts.push(Buffer.from(output.data.buffer, output.data.byteOffset, output.data.byteLength));
}
writeFileSync(outputFile, Buffer.concat(parts));
console.log(outputShape.join(" "));
