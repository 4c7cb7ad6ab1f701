/**
 * npx tsx tools/hands/main.ts [rooms] [first seed]: makes `packages/hands/weights/own-hands.*` anew, the head of
 * `networks/own-hands.ts`. The penalty is the one that does best in a fifth of the rooms; the head then learns from all.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { toFloat16 } from '@dwm/core-tensor/files';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { readHandWeights } from '@dwm/hands/node';
import { type HandSide, RiggedHand, SIDES } from '@dwm/renderer';
import { readDefaultHand } from '@dwm/renderer/node';
import { clock } from '../../apps/cli/src/report.ts';
import { compileLandmarks } from '../../packages/hands/src/networks/landmarks.ts';
import { applied, type Layer, Ridge } from './ridge.ts';
import { type Sample, Sampler } from './samples.ts';

const FOLDER = resolve(import.meta.dirname, '../../packages/hands/weights');
/** Of training seeds, far from those of the training data. */
const [ROOMS, FIRST_SEED] = [593, 750_000];
/** The tracker is not sure of less. */
const LEAST_PRESENCE = 0.25;
/** With one held out. */
const FEWEST_ROOMS = 5;
const PENALTIES = [30, 100, 300, 1000, 3000];

const isHeldOut = ({ seed }: Sample): boolean => seed % 5 === 0;

/** The points of the mirrored hand. */
const mirroredPoints = (points: Float64Array): Float64Array =>
  points.map((value, i) => ((i < 42 ? i % 2 === 0 : (i - 42) % 3 === 0) ? -value : value));

/** What a side's layer is shown: hands of that side, and mirror images of the other's. */
function shownAs(side: HandSide, samples: readonly Sample[]) {
  const isOwn = (sample: Sample) => sample.side === side;
  return {
    x: samples.map((sample) => (isOwn(sample) ? sample.features : sample.mirrored)),
    y: samples.map((sample) => (isOwn(sample) ? sample.points : mirroredPoints(sample.points))),
  };
}

/** Median distance of the points in space, metres, and in the picture, by the square's side. */
function errorsOf(layer: Layer, side: HandSide, samples: readonly Sample[]) {
  const { x, y } = shownAs(side, samples);
  const [space, picture]: [number[], number[]] = [[], []];
  x.forEach((row, n) => {
    const off = applied(layer, row).map((value, i) => value - y[n][i]);
    for (let point = 0; point < 21; point++) {
      picture.push(Math.hypot(off[2 * point], off[2 * point + 1]));
      space.push(Math.hypot(...off.subarray(42 + 3 * point, 45 + 3 * point)));
    }
  });
  return { space: median(space), picture: median(picture) };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

/** All layers of the head, by name. */
function learned(samples: readonly Sample[], say: (line: string) => void): Record<string, Layer> {
  const seen = samples.filter(({ presence }) => presence > LEAST_PRESENCE);
  const [held, rest] = [seen.filter(isHeldOut), seen.filter((sample) => !isHeldOut(sample))];
  const { x, y } = shownAs('right', rest);
  const ridge = new Ridge(x, y);
  const tried = PENALTIES.map((penalty) => {
    const errors = errorsOf(ridge.layer(penalty), 'right', held);
    say(
      `penalty ${penalty}: ${(1000 * errors.space).toFixed(1)} mm, ${(100 * errors.picture).toFixed(2)}% of the square`,
    );
    return { penalty, error: errors.space };
  });
  const { penalty } = tried.reduce((best, one) => (one.error < best.error ? one : best));
  const sides = SIDES.map((side) => {
    const { x, y } = shownAs(side, seen);
    return { side, x, layer: new Ridge(x, y).layer(penalty) };
  });
  const isRight = sides.flatMap(({ side, x }) => x.map(() => [side === 'right' ? 1 : 0]));
  const side = new Ridge(
    sides.flatMap(({ x }) => x),
    isRight,
  ).layer(penalty);
  return { ...Object.fromEntries(sides.map(({ side, layer }) => [side, layer])), side };
}

/** Writes the layers as `LayerWeights` reads them. */
async function writeHead(layers: Record<string, Layer>): Promise<void> {
  const tensors = Object.entries(layers).flatMap(([name, { weight, bias }]) => [
    { key: name, shape: [bias.length, weight.length / bias.length], data: weight },
    { key: `${name}/bias`, shape: [bias.length], data: bias },
  ]);
  const parts = tensors.map(({ data }) => new Uint8Array(toFloat16(Float32Array.from(data)).buffer));
  let next = 0;
  const offsets = parts.map(({ length }) => {
    next += length;
    return next - length;
  });
  const [keys, shapes] = [tensors.map(({ key }) => key), tensors.map(({ shape }) => shape)];
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, 'own-hands.bin'), Buffer.concat(parts));
  const directory = { keys, shapes, offsets, dtype: 'float16' };
  await writeFile(join(FOLDER, 'own-hands.json'), `${JSON.stringify(directory)}\n`);
}

async function samplesOf(rooms: number, first: number, say: (line: string) => void): Promise<Sample[]> {
  const device = await openNodeDevice();
  const network = await compileLandmarks(device, (await readHandWeights()).landmarks);
  const hand = new RiggedHand(device, await readDefaultHand('right'));
  const sampler = new Sampler(device, network, hand.restJoints());
  const samples: Sample[] = [];
  const start = performance.now();
  for (let seed = first; seed < first + rooms; seed++) {
    samples.push(...(await sampler.of(seed)));
    const done = seed - first + 1;
    const left = ((performance.now() - start) / 1000 / done) * (rooms - done);
    say(`${done} of ${rooms} rooms, ${samples.length} hands, ${clock(left)} left`);
  }
  sampler.destroy();
  device.destroy();
  return samples;
}

const [rooms = ROOMS, first = FIRST_SEED] = process.argv.slice(2).map(Number);
if (![rooms, first].every(Number.isSafeInteger) || rooms < FEWEST_ROOMS || first < 0) {
  process.stderr.write(
    `expected a number of rooms, ${FEWEST_ROOMS} or more, and a first seed: npx tsx tools/hands/main.ts [rooms] [first seed]\n`,
  );
  process.exit(1);
}
const say = (line: string) => process.stdout.write(`${line}\n`);
await writeHead(learned(await samplesOf(rooms, first, say), say));
