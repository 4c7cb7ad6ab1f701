/** Faults at 1,000 random places: every one is thrown, and nothing is handed out that was not computed. */
import { afterAll, expect, test } from 'vitest';
import { add, compile, DeviceTensor, matmul, mul, Program, planProgram, spec, trace } from '../index.ts';
import { openNodeDevice } from '../node/device/open.ts';
import { parameter, type Tensor } from '../tensor.ts';
import { seeded } from '../testing.ts';
import type { Device } from './device.ts';
import { DeviceLostError, OutOfMemoryError } from './errors.ts';

const device = await openNodeDevice();
const { gpu } = device;
afterAll(() => device.destroy());

type Inputs = { x: { shape: readonly number[]; dtype: 'f32' } };
type Job = {
  readonly shape: readonly number[];
  /** Whether a run is submitted bit by bit. */
  readonly slices: boolean;
  readonly program: Program<Inputs, { y: Tensor }>;
  /** The value of every element of the result where all of x is `value`. */
  want(value: number): number;
};

/** One slice. */
async function short(shape: readonly number[], on: Device = device): Promise<Job> {
  const program = await compile(on, { x: spec(shape) as Inputs['x'] }, ({ x }) => ({ y: add(mul(x, 2), 1) }));
  return { shape, slices: false, program, want: (value) => 2 * value + 1 };
}

/** Four kernels, a slice each. */
async function sliced(shape: readonly number[], on: Device = device): Promise<Job> {
  const inputs = { x: spec(shape) as Inputs['x'] };
  const twice = new DeviceTensor(on, spec([shape[1], shape[1]]), 'weight');
  twice.write(Float32Array.from({ length: shape[1] ** 2 }, (_, i) => (i % (shape[1] + 1) === 0 ? 2 : 0)));
  const outputs = trace(inputs, ({ x }) => {
    const double = (y: Tensor) => matmul(y, parameter(twice));
    return { y: double(double(double(double(x)))) };
  });
  const plan = planProgram(outputs, on);
  const dispatches = plan.dispatches.map((each) => ({ ...each, cost: { flops: 1e13, bytes: 1e13 } }));
  expect(dispatches.length).toBeGreaterThan(3);
  const program = await Program.build<Inputs, { y: Tensor }>(on, { ...plan, dispatches }, inputs);
  return { shape, slices: true, program, want: (value) => 16 * value };
}

const filled = (job: Job, value: number, on: Device = device) =>
  DeviceTensor.from(
    on,
    new Float32Array(job.shape.reduce((a, b) => a * b, 1)).fill(value),
    job.shape,
    'f32',
    'x',
  ) as DeviceTensor;

/** Does `fault` in place of the `nth` coming call of `method`, once. */
function instead<T extends object, K extends keyof T>(
  target: T,
  method: K,
  nth: number,
  fault: (...args: never[]) => unknown,
) {
  const own = target[method] as (...args: never[]) => unknown;
  let calls = 0;
  /** Whether it came to that. */
  const restore = () => {
    target[method] = own as T[K];
    return calls > nth;
  };
  target[method] = function (this: unknown, ...args: never[]) {
    if (calls++ !== nth) return own.apply(this, args);
    restore();
    return fault.call(this, ...args);
  } as T[K];
  return restore;
}

const answered = (message: string, kind: 'GPUOutOfMemoryError' | 'GPUInternalError') => {
  const error = Object.create(
    (globalThis as unknown as Record<string, { prototype: object }>)[kind].prototype,
  );
  Object.defineProperty(error, 'message', { value: message });
  return error as GPUError;
};

type Fault = (job: Job, x: DeviceTensor, random: () => number) => (() => boolean) | undefined;

const FAULTS: Record<string, Fault> = {
  'the input was destroyed': (_, x) => void x.destroy(),
  'the input was destroyed behind our back': (_, x) => void x.buffer.gpu.destroy(),
  'a bind group is larger than its buffer': (job, _, random) => {
    const nth = Math.floor(random() * job.program.plan.dispatches.length);
    const create = gpu.createBindGroup.bind(gpu);
    return instead(gpu, 'createBindGroup', nth, ((d: GPUBindGroupDescriptor) => {
      const entries = [...d.entries].map((entry) => {
        const { buffer, offset } = entry.resource as GPUBufferBinding;
        return { ...entry, resource: { buffer, offset, size: buffer.size + 4096 } };
      });
      return create({ ...d, entries });
    }) as never);
  },
  'a bind group lacks an entry': (_, __, random) => {
    const create = gpu.createBindGroup.bind(gpu);
    return instead(gpu, 'createBindGroup', random() < 0.5 ? 0 : 1, ((d: GPUBindGroupDescriptor) =>
      create({ ...d, entries: [...d.entries].slice(1) })) as never);
  },
  'too many workgroups': (job, _, random) => {
    const { prototype } = globalThis.GPUComputePassEncoder;
    const dispatch = prototype.dispatchWorkgroups;
    const nth = Math.floor(random() * job.program.plan.dispatches.length);
    return instead(prototype, 'dispatchWorkgroups', nth, function (this: GPUComputePassEncoder) {
      dispatch.call(this, 1 << 20);
    } as never);
  },
  'a pass that nobody ends': (job, _, random) => {
    const nth = Math.floor(random() * job.program.plan.dispatches.length);
    return instead(globalThis.GPUComputePassEncoder.prototype, 'end', Math.min(nth, 0), (() => {}) as never);
  },
  'a write over the end': () =>
    instead(gpu.queue, 'submit', 0, ((commands: GPUCommandBuffer[]) => {
      const small = gpu.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });
      gpu.queue.writeBuffer(small, 8, new Uint32Array(4));
      gpu.queue.submit(commands);
    }) as never),
  'a mistake of somebody else before': () => void gpu.createBuffer({ size: 16, usage: 0x1 | 0x80 }),
  'no memory for the staging buffer': () => refusedBuffer(),
  'no memory in the driver': () => answeredScope('GPUOutOfMemoryError'),
  'an internal error': () => answeredScope('GPUInternalError'),
  'commands that were submitted before': () =>
    instead(gpu.queue, 'submit', 0, ((commands: GPUCommandBuffer[]) => {
      gpu.queue.submit(commands);
      gpu.queue.submit(commands);
    }) as never),
};

/** The `nth` buffer from now is refused, as drivers do. */
function refusedBuffer(nth = 0) {
  const create = gpu.createBuffer.bind(gpu);
  const pop = gpu.popErrorScope.bind(gpu);
  return instead(gpu, 'createBuffer', nth, ((d: GPUBufferDescriptor) => {
    gpu.popErrorScope = async () => {
      gpu.popErrorScope = pop;
      await pop();
      return answered('', 'GPUOutOfMemoryError');
    };
    return create(d);
  }) as never);
}

function answeredScope(kind: 'GPUOutOfMemoryError' | 'GPUInternalError') {
  const pop = gpu.popErrorScope.bind(gpu);
  return instead(gpu, 'popErrorScope', kind === 'GPUInternalError' ? 0 : 1, (async () => {
    await pop();
    return answered('injected', kind);
  }) as never);
}

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error) => error,
  );

const allEqual = (values: ArrayLike<number>, value: number) =>
  Array.prototype.every.call(values, (v) => v === value);

const PAUSES = [
  async () => {},
  () => Promise.resolve(),
  () => new Promise(setImmediate),
  () => device.done(),
];

test('1,000 faults', { timeout: 300_000 }, async () => {
  const random = seeded(20);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)];
  const jobs = [await short([37]), await short([5, 7, 3]), await sliced([5, 8]), await sliced([67, 12])];
  const large = await short([1 << 20]);
  const bystander = await short([41]);
  const followers = new Map<Job, Program<Inputs, { y: Tensor }>>();
  for (const job of [...jobs, large]) followers.set(job, (await short(job.shape)).program);
  const names = Object.keys(FAULTS);

  for (let place = 0; place < 1000; place++) {
    const job = place % 90 === 89 ? large : pick(jobs);
    const name = names[place % names.length];
    const where = `place ${place}, ${name}, [${job.shape}]`;
    const value = 1 + Math.floor(random() * 1000);
    const x = filled(job, value);
    // Something true is there already, for a stale result to be taken for a new one.
    await job.program.run({ x });
    const other = filled(bystander, value);
    const cached = random() < 0.3;
    const fresh = cached ? x : filled(job, value + 1);
    if (random() < 0.5) await pick(PAUSES)();

    const restore = FAULTS[name](job, fresh, random);
    const uninvolved = random() < 0.5 ? bystander.program.run({ x: other }) : undefined;
    const runs = job.program.run({ x: fresh });
    // Reads what the run has yet to prove.
    const follower =
      random() < 0.3 && !job.slices ? followers.get(job)!.run({ x: job.program.outputs.y }) : undefined;
    // A reading between two slices would get what is there then.
    const atOnce = random() < 0.5 && !job.slices;
    const readings = atOnce ? job.program.outputs.y.read() : runs.then(({ y }) => y.read());
    const [ran, got, followed, beside] = await Promise.allSettled([runs, readings, follower, uninvolved]);
    // A bind group that was made before is not made again, and then nothing is wrong.
    const happened = restore?.() ?? true;
    const errors = [ran, got, followed, beside].filter(({ status }) => status === 'rejected');
    if (happened && errors.length === 0) {
      expect(await rejection(device.done()), `${where}: nobody was told`).toBeInstanceOf(Error);
    }
    if (got.status === 'fulfilled') {
      expect(
        allEqual(got.value, job.want(cached ? value : value + 1)),
        `${where}: a result of another run`,
      ).toBe(true);
    }
    if (ran.status === 'rejected') {
      // Not even when everybody has been told.
      expect(await rejection(job.program.outputs.y.read()), `${where}: handed out late`).toBeInstanceOf(
        Error,
      );
    }
    if (followed.status === 'fulfilled' && followed.value) {
      const next = await followed.value.y.read();
      expect(allEqual(next, 2 * job.want(cached ? value : value + 1) + 1), `${where}: follower`).toBe(true);
    }
    if (beside.status === 'fulfilled' && beside.value) {
      expect(allEqual(await beside.value.y.read(), bystander.want(value)), `${where}: bystander`).toBe(true);
    }
    // And all is well again.
    await device.done();
    const good = filled(job, value + 2);
    const { y } = await job.program.run({ x: good });
    expect(allEqual(await y.read(), job.want(value + 2)), `${where}: afterwards`).toBe(true);
    for (const tensor of new Set([x, fresh, other, good])) tensor.destroy();
  }
});

test('a device lost at any of 20 moments: everyone is told, nothing is handed out', async () => {
  const random = seeded(21);
  for (let place = 0; place < 20; place++) {
    const lost = await openNodeDevice();
    const job = place % 2 ? await short([37], lost) : await sliced([5, 8], lost);
    const x = filled(job, 3, lost);
    await job.program.run({ x });
    const restore = instead(lost.gpu.queue, 'submit', Math.floor(random() * 3), (() =>
      lost.gpu.destroy()) as never);
    const error = await rejection(
      job.program
        .run({ x })
        .then(({ y }) => y.read())
        .then(() => job.program.run({ x })),
    );
    restore();
    if (!error) lost.gpu.destroy();
    else expect(error, `place ${place}`).toBeInstanceOf(DeviceLostError);
    expect(await rejection(job.program.run({ x }))).toBeInstanceOf(DeviceLostError);
    expect(await rejection(job.program.outputs.y.read())).toBeInstanceOf(DeviceLostError);
    lost.destroy();
  }
});

test('a program that could not be built leaves nothing behind', async () => {
  const build = () =>
    compile(device, { x: spec([8, 8]) }, ({ x }) => ({ y: matmul(mul(x, 2), matmul(x, x)) }));
  (await build()).destroy();
  const before = { ...device.memory };
  for (let nth = 0; nth < 3; nth++) {
    const restore = refusedBuffer(nth);
    expect(await rejection(build()), `buffer ${nth}`).toBeInstanceOf(OutOfMemoryError);
    restore();
    expect(device.memory).toMatchObject({ allocated: before.allocated, buffers: before.buffers });
  }
});

test('an aborted run leaves no half of a result', async () => {
  const job = await sliced([5, 8]);
  const x = filled(job, 3);
  await job.program.run({ x });
  const controller = new AbortController();
  const stop = () => controller.abort(new Error('stopped'));
  await expect(job.program.run({ x }, { signal: controller.signal, onProgress: stop })).rejects.toThrow(
    'stopped',
  );
  await expect(job.program.outputs.y.read()).rejects.toThrow('stopped');
  expect(allEqual(await (await job.program.run({ x })).y.read(), 48)).toBe(true);
});

test('a tensor that was destroyed takes no values, and harms nothing else', async () => {
  const job = await short([3, 5]);
  const [gone, x] = [filled(job, 1), filled(job, 4)];
  gone.destroy();
  expect(() => gone.write(new Float32Array(15))).toThrow(/was destroyed and cannot be written/);
  expect(allEqual(await (await job.program.run({ x })).y.read(), 9)).toBe(true);
});
