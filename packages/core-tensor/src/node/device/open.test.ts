import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { doctorReport } from './doctor.ts';
import { openNodeDevice } from './open.ts';
import { swiftShaderFolder } from './swiftshader.ts';

// Each in a process of its own: the Vulkan loader keeps what it once found.
const SCRIPT = `
  import { openNodeDevice } from '${new URL('./open.ts', import.meta.url)}';
  const before = { ...process.env };
  const device = await openNodeDevice();
  const buffer = device.createBuffer(8, GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST, 'b');
  device.gpu.queue.writeBuffer(buffer.gpu, 0, new Uint32Array([3, 4]));
  const data = [...new Uint32Array(await device.read(buffer))];
  const restored = JSON.stringify(before) === JSON.stringify({ ...process.env });
  console.log(JSON.stringify({ architecture: device.caps.adapter.architecture, data, restored }));
`;
const run = (env: Record<string, string>, script = SCRIPT, timeout = 20_000) =>
  promisify(execFile)(
    process.execPath,
    ['--expose-gc', '--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', script],
    // The script leaves its device open: this also fails if that keeps the process alive.
    { env: { ...process.env, DWM_ADAPTER: '', ...env }, timeout },
  );
const NO_DRIVER = { VK_ICD_FILENAMES: '/nonexistent', VK_DRIVER_FILES: '/nonexistent' };
const linuxOnX64 = process.platform === 'linux' && process.arch === 'x64';

test.runIf(linuxOnX64)(
  'with no driver at all it runs on SwiftShader, also when two start at once',
  async () => {
    const cache = await mkdtemp(join(tmpdir(), 'dwm-cache-'));
    onTestFinished(() => rm(cache, { recursive: true }));
    const outputs = await Promise.all([0, 1].map(() => run({ ...NO_DRIVER, XDG_CACHE_HOME: cache })));
    for (const { stdout } of outputs) {
      expect(JSON.parse(stdout)).toEqual({ architecture: 'swiftshader', data: [3, 4], restored: true });
    }
    expect(await readdir(join(cache, 'dwm'))).toEqual([expect.stringMatching(/^swiftshader-[\d.]+$/)]);
  },
);

test.runIf(linuxOnX64)('DWM_ADAPTER=swiftshader wins over other drivers', async () => {
  const { stdout } = await run({ DWM_ADAPTER: 'swiftshader' });
  expect(JSON.parse(stdout).architecture).toBe('swiftshader');
});

test.runIf(linuxOnX64)('a forced adapter that is not there says how to install it', async () => {
  const lavapipe = run({ ...NO_DRIVER, DWM_ADAPTER: 'lavapipe' });
  await expect(lavapipe).rejects.toThrow(
    /NoAdapterError: no lavapipe adapter .*apt-get install .*mesa-vulkan-drivers/,
  );
  const unknown = run({ DWM_ADAPTER: 'cuda' });
  await expect(unknown).rejects.toThrow(/DWM_ADAPTER: expected one of hardware, .*got "cuda"/);
});

test.runIf(linuxOnX64)('a device that is chosen by name is opened, or another or none is named', async () => {
  const named = (name: string) =>
    run(
      { VK_ICD_FILENAMES: drivers, VK_DRIVER_FILES: drivers },
      `
  import { adapterRequests, openNodeDevice } from '${new URL('./open.ts', import.meta.url)}';
  adapterRequests.choose = async () => '${name}';
  const device = await openNodeDevice();
  console.log(device.caps.adapter.architecture);
`,
    );
  const drivers = join(await swiftShaderFolder(), 'vk_swiftshader_icd.json');
  await expect(named('Swift')).rejects.toThrow(
    /NoAdapterError: Dawn opens swiftshader-.* in place of Swift;/,
  );
  await expect(named('Other')).rejects.toThrow('NoAdapterError: Dawn does not open Other; update its driver');
});

test('DWM_TRACE=kernels prints the kernels of a program to standard error', async () => {
  const { stderr } = await run(
    { DWM_TRACE: 'kernels' },
    `
  import { compile, silu, spec } from '${new URL('../../index.ts', import.meta.url)}';
  import { openNodeDevice } from '${new URL('../index.ts', import.meta.url)}';
  await compile(await openNodeDevice(), { x: spec([5, 8]) }, ({ x }) => ({ out: silu(x) }));
`,
  );
  expect(stderr).toMatch(/^kernel pointwise: .* FLOP\/B$/m);
});

test('a device that was destroyed long ago refuses, and does not crash', async () => {
  const { stdout } = await run(
    {},
    `
  import { openNodeDevice } from '${new URL('./open.ts', import.meta.url)}';
  const device = await openNodeDevice();
  const compute = { module: device.gpu.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' }) };
  await device.done();
  device.destroy();
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((done) => setTimeout(done, 2));
    gc();
  }
  await device.gpu.createComputePipelineAsync({ layout: 'auto', compute }).catch(() => {});
  console.log(await device.done().catch((error) => error.name));
`,
  );
  expect(stdout).toBe('DeviceLostError\n');
});

const LINUX_TASKS = existsSync('/proc/self/task');

test.runIf(LINUX_TASKS)(
  '200 devices opened and destroyed keep no thread and no file, whatever holds on to them',
  async () => {
    const { stdout } = await run(
      {},
      `
  import { readdirSync } from 'node:fs';
  import { openNodeDevice } from '${new URL('./open.ts', import.meta.url)}';
  const held = () => [readdirSync('/proc/self/task').length, readdirSync('/proc/self/fd').length];
  const gone = [];
  const compute = (gpu) => ({
    layout: 'auto',
    compute: { module: gpu.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' }) },
  });
  let before;
  for (let cycle = 0; cycle < 200; cycle++) {
    const device = await openNodeDevice();
    const buffer = device.createBuffer(8, GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST, 'b');
    await device.read(buffer);
    device.destroy();
    if (cycle % 3 === 0) gone.push({ device, buffer });
    if (cycle % 10 === 0) gc();
    // Used long after, with whatever was collected meanwhile.
    const { device: late, buffer: old } = gone[cycle % gone.length];
    late.gpu.createComputePipeline(compute(late.gpu));
    old.destroy();
    await late.done().catch(() => {});
    if (cycle === 20) before = held();
  }
  const after = held();
  console.log(JSON.stringify(before.map((count, i) => after[i] - count)));
`,
      150_000,
    );
    const [threads, files] = JSON.parse(stdout);
    expect(threads).toBeLessThanOrEqual(8);
    expect(files).toBeLessThanOrEqual(8);
  },
  160_000,
);

test('the null adapter compiles subgroup matrices', async () => {
  const device = await openNodeDevice({ adapter: 'null' });
  const code = `enable chromium_experimental_subgroup_matrix; enable f16;
    @group(0) @binding(0) var<storage, read_write> c: array<f32>;
    @compute @workgroup_size(128) fn main() {
      subgroupMatrixStore<row_major>(&c, 0, subgroup_matrix_result<f32, 16, 16>(), 16);
    }`;
  const compile = () =>
    device.gpu.createComputePipeline({
      layout: 'auto',
      compute: { module: device.gpu.createShaderModule({ code }) },
    });
  await device.scoped('matrix shader', compile);
  device.destroy();
});

test('robustness: false takes the bounds checks out of shaders', async () => {
  const code = `
    struct Pair { first: array<u32, 4>, second: array<u32, 4> }
    @group(0) @binding(0) var<storage, read_write> pair: Pair;
    @compute @workgroup_size(1) fn main() { pair.first[pair.second[3]] = 9; }`;
  // Index 5 is outside `first` but inside the buffer: checked, it is clamped to 3.
  const writtenAt = async (robustness: boolean) => {
    const device = await openNodeDevice({ robustness });
    const { gpu } = device;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = device.createBuffer(32, usage, 'pair');
    gpu.queue.writeBuffer(buffer.gpu, 0, new Uint32Array([0, 0, 0, 0, 0, 0, 0, 5]));
    const module = gpu.createShaderModule({ code });
    const pipeline = gpu.createComputePipeline({ layout: 'auto', compute: { module } });
    const layout = pipeline.getBindGroupLayout(0);
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      gpu.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: buffer.gpu } }] }),
    );
    pass.dispatchWorkgroups(1);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    const index = new Uint32Array(await device.read(buffer)).indexOf(9);
    device.destroy();
    return index;
  };
  expect(await writtenAt(true)).toBe(3);
  expect(await writtenAt(false)).toBe(5);
});

test('the doctor reports the device, the choices and what is missing', async () => {
  const device = await openNodeDevice();
  const report = await doctorReport(device);
  expect(JSON.parse(JSON.stringify(report)).device).toEqual(device.caps);
  expect(report.adapters.map(({ name }) => name)).toEqual(['hardware', 'lavapipe', 'swiftshader']);
  expect(report.system.dawn).toMatch(/^\d+\.\d+\.\d+/);
  for (const { name, description } of report.adapters) {
    const listed = report.missing.some(({ what, fix }) => what.startsWith(name) && fix.length > 0);
    if (description) expect(listed, name).toBe(false);
    else if (device.caps.adapter.kind === 'software') expect(listed, name).toBe(true);
  }
  device.destroy();
});
