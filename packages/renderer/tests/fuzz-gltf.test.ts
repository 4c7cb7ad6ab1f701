/**
 * Damaged files: whatever is done to one, reading and drawing it ends in a picture or in one line of explanation,
 * soon and within memory. `DWM_FUZZ` sets how many mutants of each kind are tried.
 */
import { readFile } from 'node:fs/promises';
import { DwmError } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';
import { afterAll, expect, test } from 'vitest';
import { cameraToWorld } from '../src/camera/index.ts';
import { readColor } from '../src/gpu/frame-tensors.ts';
import { MeshRenderer } from '../src/gpu/mesh-renderer.ts';
import { RenderTarget } from '../src/gpu/render-target.ts';
import { SceneModel } from '../src/gpu/scene-model.ts';
import { readGltf } from '../src/mesh/read-gltf.ts';
import { decodeImage } from '../src/node/decode-image.ts';
import { defaultHandPath } from '../src/node/default-hands.ts';
import { everything, glb, type Packing, panel, unpackGlb, writeGlb } from './gltf-samples.ts';

const MUTANTS = Number(process.env.DWM_FUZZ ?? 40);
const device = await openNodeDevice();
const renderer = new MeshRenderer(device);
const target = new RenderTarget(device, 48, 32);
afterAll(() => device.destroy());

/** xorshift32 */
function randomSource(seed: number): (below: number) => number {
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

/** Controls, bidi marks, line breaks: what a terminal would obey. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const ODD = [
  -1,
  0,
  1,
  2,
  3,
  7,
  255,
  1e4,
  65536,
  2 ** 31 - 1,
  2 ** 32,
  1e10,
  1e308,
  0.5,
  null,
  true,
  '',
  'x',
  [],
  {},
  [0],
  [1, 2, 3, 4],
  'data:,',
  'data:application/octet-stream;base64,AAAA',
  '../../../etc/passwd',
  '%ZZ',
  'https://example.org/a.bin',
  'esc\u001b[2J\nnext \u202e',
];

/** Replaces, removes or copies a few values anywhere in the JSON. */
function damageJson(json: object, random: (below: number) => number): object {
  const copy = structuredClone(json);
  for (let change = 1 + random(3); change > 0; change--) {
    let holder = copy as Record<string, unknown>;
    for (;;) {
      const keys = Object.keys(holder);
      if (keys.length === 0) break;
      const key = keys[random(keys.length)];
      const value = holder[key];
      if (value !== null && typeof value === 'object' && random(8) !== 0) {
        holder = value as Record<string, unknown>;
        continue;
      }
      const action = random(8);
      if (action === 0) delete holder[key];
      else if (action === 1) holder[key] = structuredClone(holder[keys[random(keys.length)]]);
      else if (typeof value === 'number' && action < 4) holder[key] = value + random(5) - 2;
      else holder[key] = structuredClone(ODD[random(ODD.length)]);
      break;
    }
  }
  return copy;
}

function damageBytes(bytes: Uint8Array, random: (below: number) => number): Uint8Array<ArrayBuffer> {
  if (random(4) === 0) return new Uint8Array(bytes.subarray(0, random(bytes.length)));
  const copy = new Uint8Array(bytes);
  const view = new DataView(copy.buffer);
  for (let change = 1 + random(8); change > 0; change--) {
    const at = random(bytes.length - 4);
    if (random(2)) copy[at] = random(256);
    else view.setUint32(at, [0, 0xffffffff, 0x7fc00000, 0x7f800000, random(1 << 30)][random(5)], true);
  }
  return copy;
}

async function survives(bytes: Uint8Array): Promise<'picture' | 'error'> {
  let model: SceneModel | undefined;
  try {
    const scene = await readGltf(bytes, {
      name: 'mutant.glb',
      warn: (line) => expect(line).not.toMatch(UNSAFE),
    });
    model = await SceneModel.load(device, scene, { decodeImage });
    const view = {
      intrinsics: { width: 48, height: 32, fx: 40, fy: 40, cx: 24, cy: 16 },
      pose: cameraToWorld('opengl', [1, 0, 0, 0.1, 0, 1, 0, 0.05, 0, 0, 1, 0.6, 0, 0, 0, 1]),
    };
    renderer.draw(model, view, target);
    renderer.measure(model, view, target);
    await readColor(device, target.color);
    return 'picture';
  } catch (error) {
    if (!(error instanceof DwmError) || error.code === 'gpu-validation' || error.code === 'device-lost')
      throw error;
    expect(error.message).not.toMatch(UNSAFE);
    return 'error';
  } finally {
    model?.destroy();
  }
}

async function sample(kind: Packing | 'hand' | 'everything'): Promise<Uint8Array<ArrayBuffer>> {
  if (kind === 'everything') return everything().glb();
  if (kind === 'hand') return new Uint8Array(await readFile(defaultHandPath('left')));
  return writeGlb(panel(6).document, kind);
}

test.each(['plain', 'draco', 'meshopt', 'hand', 'everything'] as const)(
  'mutants of a %s file',
  { timeout: 3_600_000 },
  async (kind) => {
    const whole = await sample(kind);
    const { json, binary } = unpackGlb(whole);
    expect(await survives(whole)).toBe('picture');
    const outcomes = { picture: 0, error: 0 };
    for (let seed = 0; seed < MUTANTS; seed++) {
      const random = randomSource(seed);
      const kinds = [
        () => glb(damageJson(json, random), binary),
        () => glb(json, damageBytes(binary, random)),
        () => damageBytes(whole, random),
      ];
      const mutant = kinds[seed % 3]();
      try {
        outcomes[await survives(mutant)]++;
      } catch (error) {
        throw new Error(`mutant ${seed} of ${kind}`, { cause: error });
      }
    }
    // Both happen, or the mutations are too weak or too strong to say anything.
    expect(Math.min(outcomes.picture, outcomes.error)).toBeGreaterThan(0);
    if (process.env.DWM_FUZZ)
      console.log(kind, outcomes, `rss ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`);
  },
);
