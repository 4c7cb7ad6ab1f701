/**
 * Weights that are changed on the device as they are loaded. All of the same shapes go through one program and its
 * buffers, and what it makes is copied to where it belongs: memory that is touched for the first time, and programs,
 * cost more than the change itself. Only the last program is there.
 */
import {
  compile,
  type Device,
  DeviceTensor,
  type Program,
  type Tensor,
  type TensorSpec,
} from '@dwm/core-tensor';

type Specs = Readonly<Record<string, TensorSpec>>;
type Given = Parameters<Program<Record<string, TensorSpec>, { out: Tensor }>['run']>[0];

/** One change, for weights of the same shapes. */
interface Rewriting {
  /** The buffer of an input, to be filled before each run. */
  readonly buffer: (name: string) => DeviceTensor;
  /** Runs on what is given, and on the buffers of the other inputs. The result holds until the next run. */
  readonly run: (given?: Given) => Promise<DeviceTensor>;
}

interface Kept extends Rewriting {
  readonly key: string;
  readonly destroy: () => void;
}

export class Rewriter {
  readonly #device: Device;
  #last: Kept | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  /** @param what tells changes apart that have the same inputs. */
  async rewriting(
    inputs: Specs,
    what: string,
    change: (inputs: Readonly<Record<string, Tensor>>) => Tensor,
  ): Promise<Rewriting> {
    const key = `${what} ${JSON.stringify(Object.entries(inputs).map(([name, { shape, dtype }]) => [name, shape, dtype]))}`;
    if (this.#last?.key === key) return this.#last;
    this.destroy();
    const device = this.#device;
    const program = await compile<Record<string, TensorSpec>, { out: Tensor }>(device, inputs, (given) => ({
      out: change(given),
    }));
    const buffers = new Map<string, DeviceTensor>();
    this.#last = {
      key,
      buffer(name) {
        const buffer = buffers.get(name) ?? new DeviceTensor(device, inputs[name], name);
        buffers.set(name, buffer);
        return buffer;
      },
      run: async (given = {}) => (await program.run({ ...Object.fromEntries(buffers), ...given })).out,
      destroy() {
        program.destroy();
        for (const buffer of buffers.values()) buffer.destroy();
      },
    };
    return this.#last;
  }

  destroy(): void {
    this.#last?.destroy();
    this.#last = undefined;
  }
}
