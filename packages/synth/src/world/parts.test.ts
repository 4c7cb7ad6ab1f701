import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Action, fault, makeMotion, makeWorld, type Part, partOf, runHands } from '../index.ts';
import { readParts } from '../node/read-parts.ts';
import { glbOf, thing } from './testing.ts';

const cuboid = (...half: [number, number, number]) => thing((mesh) => mesh.box(half, [1, 0, 0]));
const jar = partOf(
  thing((mesh) => mesh.cylinder(0.035, 0.055, [1, 0, 0])),
  'jam-jar.glb',
);

/** Six times what closed triangles hold, positive where they face outwards. */
function volume({ primitives: [{ positions: p, indices }] }: Part): number {
  let sum = 0;
  for (let t = 0; t < indices.length; t += 3) {
    const [a, b, c] = [0, 1, 2].map((k) => p.subarray(3 * indices[t + k], 3 * indices[t + k] + 3));
    sum += a[0] * (b[1] * c[2] - b[2] * c[1]);
    sum += a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
  }
  return sum;
}

test('a part stands on the origin, its longer side along x, its faces outwards', () => {
  for (const mirror of [1, -1]) {
    const scene = thing((mesh) => mesh.box([1, 2, 4], [1, 0, 0]), [mirror * 0.02, 0.02, 0.02]);
    const part = partOf(scene, 'brick_red.glb');
    expect([part.words, part.round]).toEqual(['brick red', false]);
    [0.08, 0.04, 0.02].forEach((half, axis) => {
      expect(part.half[axis]).toBeCloseTo(half, 6);
    });
    const heights = part.primitives[0].positions.filter((_, i) => i % 3 === 1);
    expect(Math.min(...heights)).toBeCloseTo(0, 6);
    expect(volume(part)).toBeCloseTo(6 * 8 * 0.08 * 0.04 * 0.02, 7);
  }
  expect([jar.words, jar.round]).toEqual(['jam jar', true]);
});

test('what cannot stand in a room is refused in one line', () => {
  const cases: [Parameters<typeof partOf>[0], string][] = [
    [cuboid(0.3, 0.1, 0.1), 'size: is 0.600 x 0.200 x 0.200 m, expected 0.015 to 0.25 m a side; scale it'],
    [cuboid(0.1, 0, 0.1), 'size: is 0.200 x 0.00 x 0.200 m, expected 0.015 to 0.25 m a side; scale it'],
    [
      { ...cuboid(0.1, 0.1, 0.1), roots: [] },
      'meshes: has no triangles, expected a mesh; export it with one',
    ],
    [
      { ...cuboid(0.1, 0.1, 0.1), skins: [{ joints: [], inverseBind: [] }] },
      'skins: has 1, expected none; export it without bones',
    ],
  ];
  for (const [scene, problem] of cases)
    expect(() => partOf(scene, 'thing.glb')).toThrow(`parts/thing.glb: ${problem}`);
});

test('a folder is read in the order of names; none, an empty and a damaged one are refused', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dwm-parts-'));
  try {
    await expect(readParts(folder)).rejects.toThrow(`${folder}: has no .glb file`);
    const glb = glbOf(cuboid(0.05, 0.04, 0.03).meshes[0].primitives[0]);
    for (const name of ['b.glb', 'a.glb', 'notes.txt']) writeFileSync(join(folder, name), glb);
    const parts = await readParts(folder);
    expect(parts.map(({ name }) => name)).toEqual(['a.glb', 'b.glb']);
    expect(parts[0].half[0]).toBeCloseTo(0.05, 6);
    expect(parts[0].sha256).toMatch(/^[0-9a-f]{64}$/);
    writeFileSync(join(folder, 'c.glb'), glb.subarray(0, 100));
    await expect(readParts(folder)).rejects.toThrow(join(folder, 'c.glb'));
  } finally {
    rmSync(folder, { recursive: true });
  }
  await expect(readParts(folder)).rejects.toThrow(`${folder}: no such folder`);
});

test.each<[Action, Part]>([
  ['pick-and-place', jar],
  ['pick-and-place', partOf(cuboid(0.1, 0.07, 0.07), 'hat box.glb')],
  ['push-object', partOf(cuboid(0.05, 0.05, 0.03), 'tin.glb')],
  ['topple', partOf(cuboid(0.03, 0.09, 0.02), 'milk.glb')],
])(
  '%s is done to a part',
  async (action, part) => {
    for (let seed = 0, tried = 0; tried < 6; seed++) {
      const world = await makeWorld(seed, action, [part]);
      if (world.actor !== part.name) continue;
      tried++;
      const motion = makeMotion(world, { width: 96, height: 64, frames: 17, fps: 8, fixedCamera: false });
      const run = await runHands(world, motion.acting);
      if (fault(world, motion, run)) continue;
      expect(motion.caption).toContain(`the ${part.words}`);
      expect(run.contacts.some((contact) => contact.part === part.name)).toBe(true);
      return;
    }
    throw new Error(`six clips of ${action} with ${part.name} are rejected`);
  },
  120_000,
);
