/**
 * A result as a link: room, seed, settings and the trajectory in the address's hash, which never leaves the browser.
 * Numbers are rounded to a grid on the way (0.05 mm, 1/32767 of a quaternion's length), so the page puts every
 * trajectory on that grid before it uses it: what a link gives back is then exactly what was generated.
 */
import {
  type HandPose,
  type Hands,
  type Intrinsics,
  placedCamera,
  placement,
  SIDES,
  type Trajectory,
} from '@dwm/renderer';
import type { Settings } from '../worker/protocol.ts';

export interface Shared {
  /** The synthetic room's seed; a link cannot carry a visitor's own files. */
  readonly room: number;
  readonly settings: Settings;
  readonly trajectory: Trajectory;
}

const METRE = 20_000;
const UNIT = 32_767;
const JOINTS = 25;
const PREFIX = '#dwm1=';

type Numbers = number[];

const rounded = (values: ArrayLike<number>, factor: number): Numbers =>
  Array.from(values, (value) => Math.round(value * factor));

/** Numbers of a frame: camera, then for each hand 0, or 1 with its joints: wrist in the world, others from the wrist. */
function packFrame({ camera, hands }: Trajectory['frames'][number]): Numbers {
  const { position, rotation } = placement(camera);
  const numbers = [...rounded(position, METRE), ...rounded(rotation, UNIT)];
  for (const side of SIDES) {
    const joints = hands[side]?.joints;
    numbers.push(joints ? 1 : 0);
    for (let j = 0; joints && j < JOINTS; j++) {
      const from = j === 0 ? [0, 0, 0] : joints;
      for (let i = 0; i < 3; i++)
        numbers.push(Math.round(joints[7 * j + i] * METRE) - (j === 0 ? 0 : Math.round(from[i] * METRE)));
      numbers.push(...rounded(joints.subarray(7 * j + 3, 7 * j + 7), UNIT));
    }
  }
  return numbers;
}

function unpackFrame(next: () => number): { camera: Trajectory['frames'][number]['camera']; hands: Hands } {
  const metres = () => [next(), next(), next()].map((value) => value / METRE) as [number, number, number];
  const quaternion = () => {
    const values = [next(), next(), next(), next()];
    const length = Math.hypot(...values);
    return values.map((value) => value / length) as [number, number, number, number];
  };
  const camera = placedCamera('opengl', metres(), quaternion());
  const [left, right] = SIDES.map((): HandPose | null => {
    if (next() === 0) return null;
    const joints = new Float64Array(JOINTS * 7);
    const wrist = [0, 0, 0];
    for (let j = 0; j < JOINTS; j++) {
      for (let i = 0; i < 3; i++) {
        const units = next() + wrist[i];
        if (j === 0) wrist[i] = units;
        joints[7 * j + i] = units / METRE;
      }
      joints.set(quaternion(), 7 * j + 3);
    }
    return { joints };
  });
  return { camera, hands: { left, right } };
}

/** The numbers that a trajectory on the grid was made of: rounding it once more could move it by a step. */
const packed = new WeakMap<Trajectory, readonly Numbers[]>();

function unpack(numbers: readonly Numbers[], fps: number, lenses: readonly Intrinsics[]): Trajectory {
  const trajectory = {
    fps,
    frames: numbers.map((frame, i) => {
      let at = 0;
      const intrinsics = lenses[Math.min(i, lenses.length - 1)];
      return { seconds: i / fps, intrinsics, ...unpackFrame(() => frame[at++]) };
    }),
  };
  packed.set(trajectory, numbers);
  return trajectory;
}

/** The trajectory as a link would give it back. */
export function onGrid(trajectory: Trajectory): Trajectory {
  if (packed.has(trajectory)) return trajectory;
  const { frames, fps } = trajectory;
  return unpack(
    frames.map(packFrame),
    fps,
    frames.map(({ intrinsics }) => intrinsics),
  );
}

const piped = async (bytes: Uint8Array<ArrayBuffer>, through: CompressionStream | DecompressionStream) =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(through)).arrayBuffer());

/** Differences between frames as bytes: zigzag, seven bits at a time. */
function toBytes(frames: readonly Numbers[]): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  frames.forEach((numbers, f) => {
    const before = frames[f - 1]?.length === numbers.length ? frames[f - 1] : [];
    numbers.forEach((value, i) => {
      const difference = value - (before[i] ?? 0);
      let zigzag = difference < 0 ? -2 * difference - 1 : 2 * difference;
      while (zigzag >= 128) {
        bytes.push((zigzag % 128) + 128);
        zigzag = Math.floor(zigzag / 128);
      }
      bytes.push(zigzag);
    });
  });
  return Uint8Array.from(bytes);
}

function fromBytes(bytes: Uint8Array, lengths: readonly number[]): Numbers[] {
  let at = 0;
  const frames: Numbers[] = [];
  for (const length of lengths) {
    const before = frames.at(-1)?.length === length ? frames.at(-1)! : [];
    frames.push(
      Array.from({ length }, (_, i) => {
        let zigzag = 0;
        for (let factor = 1; ; factor *= 128) {
          const byte = bytes[at++];
          zigzag += (byte % 128) * factor;
          if (byte === undefined || byte < 128) break;
        }
        const difference = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
        return difference + (before[i] ?? 0);
      }),
    );
  }
  return frames;
}

const base64 = (bytes: Uint8Array) =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

const fromBase64 = (text: string) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));

/** `#dwm1=…`. Cameras are taken to share the first frame's lens. */
export async function writeLink({ room, settings, trajectory }: Shared): Promise<string> {
  const frames = packed.get(trajectory) ?? trajectory.frames.map(packFrame);
  const { fx, fy, cx, cy } = trajectory.frames[0].intrinsics;
  const head = JSON.stringify({
    room,
    settings,
    lens: [fx, fy, cx, cy],
    lengths: frames.map((f) => f.length),
  });
  const text = new TextEncoder().encode(head);
  const body = toBytes(frames);
  const all = new Uint8Array(4 + text.length + body.length);
  new DataView(all.buffer).setUint32(0, text.length);
  all.set(text, 4);
  all.set(body, 4 + text.length);
  return PREFIX + base64(await piped(all, new CompressionStream('deflate-raw')));
}

/** @returns undefined for an address without a result; throws Error in one line where it is damaged. */
export async function readLink(hash: string): Promise<Shared | undefined> {
  if (!hash.startsWith(PREFIX)) return undefined;
  try {
    const all = await piped(fromBase64(hash.slice(PREFIX.length)), new DecompressionStream('deflate-raw'));
    const length = new DataView(all.buffer).getUint32(0);
    const { room, settings, lens, lengths } = JSON.parse(
      new TextDecoder().decode(all.subarray(4, 4 + length)),
    ) as { room: number; settings: Settings; lens: number[]; lengths: number[] };
    const { fps, width, height } = settings;
    const [fx, fy, cx, cy] = lens;
    const numbers = fromBytes(all.subarray(4 + length), lengths);
    return { room, settings, trajectory: unpack(numbers, fps, [{ fx, fy, cx, cy, width, height }]) };
  } catch {
    throw new Error('this link is damaged or cut short; copy all of it again');
  }
}
