/** Compute pipelines of a device, compiled once for every distinct WGSL text. */
import type { Device } from './device/device.ts';
import { GpuValidationError } from './device/errors.ts';
import type { PlannedDispatch } from './plan/plan.ts';

/**
 * Tells how many kernels of a device are compiled of all that were asked for: the first run of a program waits for
 * its kernels, seconds to minutes.
 */
export function onKernelsCompiled(device: Device, tell: (done: number, asked: number) => void): void {
  pipelinesOf(device).onCompiled = tell;
}

const create = (device: Device) => new Pipelines(device);
export const pipelinesOf = (device: Device): Pipelines => device.once(create);

class Pipelines {
  readonly #device: Device;
  readonly #compiled = new Map<string, Promise<GPUComputePipeline>>();
  #done = 0;
  /** Is told how many pipelines are compiled of all that were asked for so far. */
  onCompiled: ((done: number, asked: number) => void) | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  get({ wgsl, label, bindings, uniforms }: PlannedDispatch): Promise<GPUComputePipeline> {
    let pipeline = this.#compiled.get(wgsl);
    if (!pipeline) {
      pipeline = this.#compile(wgsl, label, bindings, uniforms.length > 0).finally(() => {
        this.onCompiled?.(++this.#done, this.#compiled.size);
      });
      // A failure may be the device's, and is not to be repeated for ever.
      pipeline.catch(() => this.#compiled.delete(wgsl));
      this.#compiled.set(wgsl, pipeline);
    }
    return pipeline;
  }

  async #compile(
    wgsl: string,
    label: string,
    bindings: PlannedDispatch['bindings'],
    hasUniforms: boolean,
  ): Promise<GPUComputePipeline> {
    const { gpu } = this.#device;
    const visibility = GPUShaderStage.COMPUTE;
    const entries: GPUBindGroupLayoutEntry[] = bindings.map(({ access }, k) => ({
      binding: k + 1,
      visibility,
      buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
    }));
    if (hasUniforms) entries.unshift({ binding: 0, visibility, buffer: { type: 'uniform' } });
    const layout = gpu.createPipelineLayout({ bindGroupLayouts: [gpu.createBindGroupLayout({ entries })] });
    const module = gpu.createShaderModule({ code: wgsl, label });
    try {
      return await gpu.createComputePipelineAsync({
        label,
        layout,
        compute: { module, entryPoint: 'main' },
      });
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      const first = messages.find((message) => message.type === 'error');
      const where = first ? `line ${first.lineNum}: ${first.message}` : String(cause);
      throw new GpuValidationError(label, `does not compile: ${where}`, { wgsl }, { cause });
    }
  }
}
