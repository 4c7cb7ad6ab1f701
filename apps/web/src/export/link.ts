/**
 * A result as a link: room, seed, settings and the motion in the address's hash, which never leaves the browser. The
 * room's own motion follows from the room and takes no place. Numbers of any other are rounded to a grid on the way
 * (0.1 mm, 0.03 degrees), so the page puts every trajectory on that grid before it uses it: what a link gives back is
 * then exactly what was generated. Whoever made a link may mean harm: sizes and numbers are checked before they are used.
 */
import {
  type HandPose,
  type Hands,
  placedCamera,
  placement,
  type Quaternion,
  rotations,
  SIDES,
  type Trajectory,
  type TrajectoryFrame,
  type Vec3,
} from '@dwm/renderer';
import { checkNumber, checkSettings, LIMITS, ROOM_NUMBER } from '../state/limits.ts';
import type { Settings } from '../worker/protocol.ts';

export interface Shared {
  /** The synthetic room's seed; a link cannot carry a visitor's own files. */
  readonly room: number;
  readonly settings: Settings;
  /** The words of the settings are the visitor's own. */
  readonly typed?: boolean;
  /** Absent: the room's own motion. */
  readonly trajectory?: Trajectory;
}

const METRE = 10_000;
const UNIT = 4096;
const JOINTS = 25;
/** The joint that each hangs on, in WebXR's order: five chains from the wrist, the thumb's one shorter. */
const PARENTS = Array.from({ length: JOINTS }, (_, joint) =>
  joint === 0 || joint === 1 || (joint >= 5 && joint % 5 === 0) ? 0 : joint - 1,
);
const VERSION = '2';
const PREFIX = `#dwm${VERSION}=`;
/** Characters of a link, and bytes of what is in it. The longest that the page makes is far below. */
const MOST_TEXT = 200_000;
const MOST_BYTES = 500_000;
/** Units of the grid: 6 km, and more than any unit quaternion's part. */
const MOST_UNITS = 2 ** 26;

type Numbers = number[];

const rounded = (values: ArrayLike<number>, factor: number): Numbers =>
  Array.from(values, (value) => Math.round(value * factor));

const positionOf = (joints: Float64Array, joint: number): Vec3 => [
  joints[7 * joint],
  joints[7 * joint + 1],
  joints[7 * joint + 2],
];
const rotationOf = (joints: Float64Array, joint: number): Quaternion => [
  joints[7 * joint + 3],
  joints[7 * joint + 4],
  joints[7 * joint + 5],
  joints[7 * joint + 6],
];

/** Three numbers of a rotation; its fourth is what is missing to one. */
function packRotation([x, y, z, w]: Quaternion): Numbers {
  return rounded(
    [x, y, z].map((part) => (w < 0 ? -part : part)),
    UNIT,
  );
}

/**
 * Numbers of a frame: camera, then for each hand 0, or 1 with its joints, each as seen from the one that it hangs on. Bones
 * do not grow, so most of a hand is the same in every frame.
 */
function packFrame({ camera, hands }: TrajectoryFrame): Numbers {
  const { position, rotation } = placement(camera);
  const numbers = [...rounded(position, METRE), ...packRotation(rotation)];
  for (const side of SIDES) {
    const joints = hands[side]?.joints;
    numbers.push(joints ? 1 : 0);
    for (let joint = 0; joints && joint < JOINTS; joint++) {
      const [at, turn] = [positionOf(joints, joint), rotationOf(joints, joint)];
      if (joint === 0) {
        numbers.push(...rounded(at, METRE), ...packRotation(turn));
        continue;
      }
      const back = rotations.inverse(rotationOf(joints, PARENTS[joint]));
      const bone = rotations.rotate(back, rotations.subtract(at, positionOf(joints, PARENTS[joint])));
      numbers.push(...rounded(bone, METRE), ...packRotation(rotations.compose(back, turn)));
    }
  }
  return numbers;
}

function unpackFrame(next: () => number): Pick<TrajectoryFrame, 'camera' | 'hands'> {
  const metres = (): Vec3 => [next() / METRE, next() / METRE, next() / METRE];
  const rotation = (): Quaternion => {
    const [x, y, z] = [next() / UNIT, next() / UNIT, next() / UNIT];
    const squares = x * x + y * y + z * z;
    if (squares <= 1) return [x, y, z, Math.sqrt(1 - squares)];
    const length = Math.sqrt(squares);
    return [x / length, y / length, z / length, 0];
  };
  const camera = placedCamera('opengl', metres(), rotation());
  const [left, right] = SIDES.map((): HandPose | null => {
    if (next() === 0) return null;
    const joints = new Float64Array(JOINTS * 7);
    for (let joint = 0; joint < JOINTS; joint++) {
      const [bone, turn] = [metres(), rotation()];
      const [at, from] = [positionOf(joints, PARENTS[joint]), rotationOf(joints, PARENTS[joint])];
      const place = joint === 0 ? bone : rotations.add(at, rotations.rotate(from, bone));
      joints.set([...place, ...(joint === 0 ? turn : rotations.compose(from, turn))], 7 * joint);
    }
    return { joints };
  });
  return { camera, hands: { left, right } };
}

/** The numbers that a frame on the grid was made of, by its hands: rounding it once more could move it by a step. */
const packed = new WeakMap<
  Hands,
  { readonly camera: TrajectoryFrame['camera']; readonly numbers: Numbers }
>();

function numbersOf(frame: TrajectoryFrame): Numbers | undefined {
  const known = packed.get(frame.hands);
  return known?.camera === frame.camera ? known.numbers : undefined;
}

/** Camera and hands of a frame's numbers. */
function onGridAs(numbers: Numbers): Pick<TrajectoryFrame, 'camera' | 'hands'> {
  let at = 0;
  const made = unpackFrame(() => numbers[at++]);
  packed.set(made.hands, { camera: made.camera, numbers });
  return made;
}

/** The frame as a link would give it back. */
export const gridded = (frame: TrajectoryFrame): TrajectoryFrame =>
  numbersOf(frame) ? frame : { ...frame, ...onGridAs(packFrame(frame)) };

/** The trajectory as a link would give it back; one that is on the grid is given back itself. */
export function onGrid(trajectory: Trajectory): Trajectory {
  const { frames, fps } = trajectory;
  if (frames.every(numbersOf)) return trajectory;
  return { fps, frames: frames.map((frame, i) => ({ ...gridded(frame), seconds: i / fps })) };
}

/** @throws Error where more than `MOST_BYTES` come out. */
async function piped(
  bytes: Uint8Array<ArrayBuffer>,
  through: CompressionStream | DecompressionStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const reader = new Blob([bytes]).stream().pipeThrough(through).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > MOST_BYTES) {
      await reader.cancel();
      throw new Error('too much');
    }
    chunks.push(value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

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

/** @throws Error where bytes are missing, left over, or make a number that no page wrote. */
function fromBytes(bytes: Uint8Array, lengths: readonly number[]): Numbers[] {
  let at = 0;
  const number = () => {
    let zigzag = 0;
    for (let factor = 1; factor < 2 ** 35; factor *= 128) {
      if (at >= bytes.length) throw new Error('bytes are missing');
      const byte = bytes[at++];
      zigzag += (byte % 128) * factor;
      if (byte < 128) return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    }
    throw new Error('a number is too long');
  };
  const frames: Numbers[] = [];
  for (const length of lengths) {
    const before = frames.at(-1)?.length === length ? frames.at(-1)! : [];
    const frame = Array.from({ length }, (_, i) => number() + (before[i] ?? 0));
    if (frame.some((value) => Math.abs(value) > MOST_UNITS)) throw new Error('a number is too large');
    frames.push(frame);
  }
  if (at !== bytes.length) throw new Error('bytes are left over');
  return frames;
}

const base64 = (bytes: Uint8Array) =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

const fromBase64 = (text: string) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));

/** Camera, and both hands' marks; a hand that is there adds its joints. */
const LENGTHS = [0, 1, 2].map((hands) => 6 + 2 + hands * JOINTS * 6);
const KEYS = ['seed', 'steps', 'guidance', 'width', 'height', 'frames', 'fps'] as const;

/** `#dwm2=…`. Cameras are taken to share the first frame's lens. */
export async function writeLink({ room, settings, typed, trajectory }: Shared): Promise<string> {
  const frames = (trajectory?.frames ?? []).map((frame) => numbersOf(frame) ?? packFrame(frame));
  const { fx, fy, cx, cy } = trajectory?.frames[0].intrinsics ?? {};
  const { prompt, composite } = settings;
  const head = JSON.stringify({
    room,
    run: KEYS.map((key) => settings[key]),
    composite,
    // Other words follow from the room and the motion.
    prompt: typed ? prompt : undefined,
    lens: trajectory && [fx, fy, cx, cy],
    hands: trajectory && frames.map(({ length }) => LENGTHS.indexOf(length)),
  });
  const text = new TextEncoder().encode(head);
  const body = toBytes(frames);
  const all = new Uint8Array(2 + text.length + body.length);
  new DataView(all.buffer).setUint16(0, text.length);
  all.set(text, 2);
  all.set(body, 2 + text.length);
  return PREFIX + base64(await piped(all, new CompressionStream('deflate-raw')));
}

/** @returns undefined for an address without a result; throws Error in one line where it is damaged or asks for too much. */
export async function readLink(hash: string): Promise<Shared | undefined> {
  const version = /^#dwm(\d+)=/.exec(hash)?.[1];
  if (version === undefined) return undefined;
  if (version !== VERSION)
    throw new Error(
      Number(version) < Number(VERSION)
        ? 'this link is of an older page; make it again there'
        : 'this link is of a newer page; load this one anew',
    );
  let head: unknown;
  let body: Uint8Array;
  try {
    if (hash.length > MOST_TEXT) throw new Error('too long');
    const all = await piped(fromBase64(hash.slice(PREFIX.length)), new DecompressionStream('deflate-raw'));
    const length = new DataView(all.buffer).getUint16(0);
    if (2 + length > all.length) throw new Error('cut short');
    head = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(all.subarray(2, 2 + length)));
    body = all.subarray(2 + length);
  } catch {
    throw damaged();
  }
  if (typeof head !== 'object' || head === null) throw damaged();
  const { room, run, composite, prompt, lens, hands } = head as Record<string, unknown>;
  if (!Array.isArray(run) || run.length !== KEYS.length) throw damaged();
  const numbers = Object.fromEntries(KEYS.map((key, i) => [key, checkNumber(LIMITS[key], run[i])])) as Record<
    (typeof KEYS)[number],
    number
  >;
  const settings: Settings = {
    ...numbers,
    ...(composite !== undefined && { composite: composite as boolean }),
    prompt: (prompt ?? '') as string,
  };
  checkSettings(settings);
  return {
    room: checkNumber(ROOM_NUMBER, room),
    settings,
    ...(prompt !== undefined && { typed: true }),
    ...(lens !== undefined && { trajectory: readMotion(settings, lens, hands, body) }),
  };
}

const damaged = () => new Error('this link is damaged or cut short; copy all of it again');

function readMotion(
  { width, height, frames, fps }: Settings,
  lens: unknown,
  hands: unknown,
  body: Uint8Array,
): Trajectory {
  const isLens = Array.isArray(lens) && lens.length === 4 && lens.every(Number.isFinite);
  if (!isLens || !(lens[0] > 0 && lens[1] > 0) || !Array.isArray(hands) || hands.length !== frames)
    throw damaged();
  const lengths = hands.map((count) => LENGTHS[count as number]);
  if (lengths.includes(undefined as never)) throw damaged();
  const [fx, fy, cx, cy] = lens as number[];
  try {
    const intrinsics = { fx, fy, cx, cy, width, height };
    return {
      fps,
      frames: fromBytes(body, lengths).map((numbers, i) => ({
        seconds: i / fps,
        intrinsics,
        ...onGridAs(numbers),
      })),
    };
  } catch {
    throw damaged();
  }
}
