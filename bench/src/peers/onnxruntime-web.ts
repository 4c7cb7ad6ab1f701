/**
 * onnxruntime-web's WebGPU provider, on the benchmark's own device. Its WebAssembly is compiled by V8's baseline
 * compiler (see `load`), which costs it a little time on the CPU and nothing on the device.
 */
import { setFlagsFromString } from 'node:v8';
import type { Device } from '@dwm/core-tensor';
import type { InferenceSession, Tensor } from 'onnxruntime-web/webgpu';
import type { Implementation, Prepared } from './implementation.ts';
import { encodeOnnx, type OnnxGraph } from './onnx-file.ts';
import { refuse } from './onnx-formulation.ts';
import { graphOf, onnxFormulations } from './onnx-tasks.ts';

let device: Device;
let ort: typeof import('onnxruntime-web/webgpu');

/** onnxruntime-web destroys the device with its last session: this one stays. */
const KEEPER: OnnxGraph = {
  nodes: [{ op: 'Abs', inputs: ['x'] }],
  inputs: { x: [4] },
  initializers: {},
  output: [4],
};
const OPTIONS: InferenceSession.SessionOptions = {
  executionProviders: ['webgpu'],
  preferredOutputLocation: 'gpu-buffer',
  logSeverityLevel: 4,
  // A node that WebGPU cannot run is a failure here, not work for the CPU.
  extra: { session: { disable_cpu_ep_fallback: '1' } },
};

export const onnxruntimeWeb: Implementation = {
  name: 'onnxruntime-web webgpu',
  runsOn: 'shared',
  async load(shared) {
    device = shared;
    // V8's optimizing compiler takes minutes over this module on two cores.
    setFlagsFromString('--liftoff-only');
    ort = await import('onnxruntime-web/webgpu');
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = 'fatal';
    ort.env.webgpu.device = device.gpu;
    await ort.InferenceSession.create(encodeOnnx(KEEPER), OPTIONS);
  },
  formulations: (task) => Object.keys(onnxFormulations(task)),
  async prepare(task, name, inputs, weights): Promise<Prepared> {
    const formulation = onnxFormulations(task)[name];
    const graph = graphOf(formulation, weights);
    const main = await ort.InferenceSession.create(encodeOnnx(graph), OPTIONS).catch(refuse);
    const sets = inputs.map((set) => {
      const arrays = formulation.feeds?.(set) ?? set;
      return Object.fromEntries(
        Object.entries(formulation.inputs).map(([input, shape]) => {
          const data = arrays[input];
          const buffer = device.createBuffer(
            Math.ceil(data.byteLength / 16) * 16,
            GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
            `onnxruntime-web ${input}`,
          );
          device.gpu.queue.writeBuffer(buffer.gpu, 0, data as Float32Array<ArrayBuffer>);
          const tensor = ort.Tensor.fromGpuBuffer(buffer.gpu, { dataType: 'float32', dims: [...shape] });
          return [input, { tensor, buffer }];
        }),
      );
    });
    const bound = sets.map((set) =>
      Object.fromEntries(Object.entries(set).map(([input, { tensor }]) => [input, tensor])),
    );
    let output: Tensor | undefined;
    return {
      async run(set) {
        output?.dispose();
        output = (await main.run(bound[set])).output as Tensor;
        await device.done();
      },
      async read() {
        const data = (await output!.getData()) as Float32Array;
        return formulation.result?.(data) ?? data;
      },
      async dispose() {
        output?.dispose();
        await main.release();
        for (const set of sets) for (const { buffer } of Object.values(set)) buffer.destroy();
      },
    };
  },
};
