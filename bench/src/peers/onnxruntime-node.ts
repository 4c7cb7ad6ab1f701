/**
 * onnxruntime-node. Its WebGPU provider brings its own Dawn and picks its own adapter: the first that Vulkan
 * lists. Tensors stay on its device; reading one element back is how we wait, since `run` returns earlier.
 */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Arrays } from '../workloads/index.ts';
import type { Implementation, Prepared } from './implementation.ts';
import { encodeOnnx, type OnnxGraph } from './onnx-file.ts';
import { type OnnxFormulation, refuse } from './onnx-formulation.ts';
import { graphOf, onnxFormulations } from './onnx-tasks.ts';

/** Loaded late: its native library is not packed for machines with a GPU. */
let ort: typeof import('onnxruntime-node');

async function loadRuntime(): Promise<void> {
  ort = await import('onnxruntime-node');
}

/** Refusals come as exceptions; no need to print them too. */
const FATAL = 4;
/** Threads that find no work sleep, and do not take the time of whoever is measured next. */
const SLEEPY = { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } };
const WEBGPU: InferenceSession.SessionOptions = {
  executionProviders: ['webgpu'],
  logSeverityLevel: FATAL,
  // A node that WebGPU cannot run is a failure here, not work for the CPU.
  extra: { session: { disable_cpu_ep_fallback: '1', ...SLEEPY } },
};
const STAYS: InferenceSession.SessionOptions = { ...WEBGPU, preferredOutputLocation: 'gpu-buffer' };

const session = (graph: OnnxGraph, options: InferenceSession.SessionOptions) =>
  ort.InferenceSession.create(encodeOnnx(graph), options).catch(refuse);

const unary = (op: string, shape: readonly number[], output: readonly number[] = shape): OnnxGraph => ({
  nodes: [{ op, inputs: ['x', ...(op === 'Slice' ? ['starts', 'ends'] : [])] }],
  inputs: { x: shape },
  initializers:
    op === 'Slice'
      ? {
          starts: { shape: [shape.length], data: shape.map(() => 0) },
          ends: { shape: [shape.length], data: shape.map(() => 1) },
        }
      : {},
  output,
});

const feeds = (formulation: OnnxFormulation, inputs: Arrays): Record<string, Tensor> => {
  const arrays = formulation.feeds?.(inputs) ?? inputs;
  return Object.fromEntries(
    Object.entries(formulation.inputs).map(([name, shape]) => [
      name,
      new ort.Tensor('float32', arrays[name], [...shape]),
    ]),
  );
};

export const onnxruntimeNodeWebgpu: Implementation = {
  name: 'onnxruntime-node webgpu',
  runsOn: 'own',
  async load() {
    await loadRuntime();
    await (await session(unary('Abs', [4]), WEBGPU)).release();
  },
  formulations: (task) => Object.keys(onnxFormulations(task)),
  async prepare(task, name, inputs, weights): Promise<Prepared> {
    const formulation = onnxFormulations(task)[name];
    const main = await session(graphOf(formulation, weights), STAYS);
    const fence = await session(
      unary(
        'Slice',
        formulation.output,
        formulation.output.map(() => 1),
      ),
      WEBGPU,
    );
    const download = await session(unary('Identity', formulation.output), WEBGPU);
    const sessions = [main, fence, download];
    const sets: Record<string, Tensor>[] = [];
    for (const set of inputs) {
      const onDevice: Record<string, Tensor> = {};
      for (const [input, tensor] of Object.entries(feeds(formulation, set))) {
        const upload = await session(unary('Identity', formulation.inputs[input]), STAYS);
        sessions.push(upload);
        onDevice[input] = (await upload.run({ x: tensor })).output as Tensor;
      }
      sets.push(onDevice);
    }
    let output: Tensor | undefined;
    return {
      async run(set) {
        output?.dispose();
        output = (await main.run(sets[set])).output as Tensor;
        await fence.run({ x: output });
      },
      async read() {
        const { data } = (await download.run({ x: output! })).output;
        return formulation.result?.(data as Float32Array) ?? (data as Float32Array);
      },
      async dispose() {
        for (const set of sets) for (const tensor of Object.values(set)) tensor.dispose();
        output?.dispose();
        for (const each of sessions) await each.release();
      },
    };
  },
};

export const onnxruntimeNodeCpu: Implementation = {
  name: 'onnxruntime-node cpu',
  runsOn: 'cpu',
  load: loadRuntime,
  formulations: (task) => Object.keys(onnxFormulations(task)),
  async prepare(task, name, inputs, weights): Promise<Prepared> {
    const formulation = onnxFormulations(task)[name];
    const options: InferenceSession.SessionOptions = {
      executionProviders: ['cpu'],
      logSeverityLevel: FATAL,
      extra: { session: SLEEPY },
    };
    const main = await session(graphOf(formulation, weights), options);
    const sets = inputs.map((set) => feeds(formulation, set));
    let output: Tensor;
    return {
      async run(set) {
        output = (await main.run(sets[set])).output as Tensor;
      },
      async read() {
        const data = output.data as Float32Array;
        return formulation.result?.(data) ?? data;
      },
      dispose: () => main.release(),
    };
  },
};
