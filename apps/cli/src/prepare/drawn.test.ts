import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { frameAt, readVideo } from '@dwm/media/node';
import { Command } from 'commander';
import { afterAll, expect, test, vi } from 'vitest';
import { array, npz, tar } from '../../../../packages/renderer/src/trajectory/testing.ts';
import { panel, writeGlb } from '../../../../packages/renderer/tests/gltf-samples.ts';
import { addPrepare } from '../commands/prepare.ts';

const folder = mkdtempSync(join(tmpdir(), 'dwm-drawn-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);

/** A hand model of bare joints: the wrist, and fingers of three and a tip, 3 cm apart, along -x. */
function handModel(): Uint8Array {
  const template = new Float64Array(778 * 3);
  const put = (vertex: number, bone: number, finger: number) =>
    template.set([-0.03 * bone, 0, 0.02 * (finger - 2)], 3 * vertex);
  for (let joint = 1; joint < 16; joint++) put(joint, 2 + ((joint - 1) % 3), Math.floor((joint - 1) / 3));
  for (const [finger, vertex] of [320, 443, 671, 554, 744].entries()) put(vertex, 5, finger);
  return npz({
    v_template: array([778, 3], template),
    shapedirs: array([778, 3, 10], new Float64Array(778 * 30)),
    posedirs: array([778, 3, 135], new Float64Array(778 * 405)),
    J_regressor: array(
      [16, 778],
      Float64Array.from({ length: 16 * 778 }, (_, i) => (i % 779 === 0 ? 1 : 0)),
    ),
    weights: array(
      [778, 16],
      Float64Array.from({ length: 16 * 778 }, (_, i) => (i % 16 === 0 ? 1 : 0)),
    ),
    hands_components: array([45, 45], new Float64Array(45 * 45)),
    hands_mean: array([45], new Float64Array(45)),
    f: array([1, 3], [0, 1, 2], '<u4'),
    kintree_table: array([2, 16], [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14, ...Array(16).keys()]),
  });
}

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** Worlds of the data set: y is up in Quest's, z in Aria's. What is placed here is the same in both. */
const QUEST = {
  stream: '1201-1',
  turn: { quaternion: [1, 0, 0, 0], axisAngle: [0, 0, 0] },
  at: (x: number, y: number, z: number) => [x, y, z],
};
const ARIA: typeof QUEST = {
  stream: '214-1',
  turn: { quaternion: [Math.SQRT1_2, Math.SQRT1_2, 0, 0], axisAngle: [Math.PI / 2, 0, 0] },
  at: (x, y, z) => [x, -z, y],
};

/** The camera lies on its side and looks along +z; the thing moves to where x is below. */
function clip({ stream, turn, at }: typeof QUEST) {
  const place = (x: number, y: number, z: number) => ({
    quaternion_wxyz: turn.quaternion,
    translation_xyz: at(x, y, z),
  });
  const frame = (i: number) => ({
    [`00000${i}.cameras.json`]: json({ [stream]: { T_world_from_camera: place(0, 0, 0) } }),
    [`00000${i}.info.json`]: json({ image_timestamps_ns: { [stream]: 1e12 + i * 125e6 } }),
    [`00000${i}.objects.json`]: json({
      7: [{ object_bop_id: 7, T_world_from_object: place(0.3 * i, 0, 2) }],
    }),
    [`00000${i}.hands.json`]: json({
      right: {
        mano_pose: { thetas: Array(15).fill(0), wrist_xform: [...turn.axisAngle, ...at(-0.3, 0, 1)] },
      },
    }),
  });
  return tar({ ...frame(0), ...frame(1), '__hand_shapes.json__': json({ mano: Array(10).fill(0) }) });
}

const prepare = async (...args: string[]) => {
  const program = new Command().exitOverride().option('--json');
  addPrepare(program);
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const size = ['--frames', '2', '--width', '64', '--height', '48', '--focal', '50', '--out', at('out')];
  await program
    .parseAsync(['node', 'dwm', '--json', 'prepare', ...args, ...size])
    .finally(() => written.mockRestore());
};

test('a clip of HOT3D-Clips: what is moved stays in the static video, and moves under the hands, whatever is up', async () => {
  mkdirSync(at('models'));
  writeFileSync(at('mano.npz'), handModel());
  writeFileSync(at('clip-000001.tar'), clip(QUEST));
  const { document } = panel();
  // Seen from behind too.
  for (const material of document.getRoot().listMaterials()) material.setDoubleSided(true);
  const args = ['--from', at('clip-000001.tar'), '--objects', at('models')];
  await expect(prepare(...args)).rejects.toThrow('mano: is required for hot3d-clips');
  await expect(prepare(...args, '--mano', at('mano.npz'))).rejects.toThrow(/obj_000007\.glb/);
  writeFileSync(at('models/obj_000007.glb'), await writeGlb(document));
  await prepare(...args, '--mano', at('mano.npz'));

  const videosOf = (stem: string) =>
    Promise.all(
      ['videos_static', 'videos_hands', 'videos'].map((name) => readVideo(at('out', name, `${stem}.mp4`))),
    );
  const quest = await videosOf('clip-000001');
  const [still, hands, video] = quest;
  /** Share of the pixels that differ by much. */
  const change = (a: Uint8Array, b: Uint8Array) =>
    a.filter((value, i) => Math.abs(value - b[i]) > 40).length / a.length;
  const [first, last] = [0, 1].map((i) => frameAt(still, i).data);
  expect(change(first, last)).toBe(0);
  expect(change(frameAt(video, 1).data, last)).toBeGreaterThan(0.05);
  const lit = [0, 1].map((i) => frameAt(hands, i).data.filter((value) => value > 60).length);
  expect(Math.min(...lit)).toBeGreaterThan(30);

  writeFileSync(at('clip-000002.tar'), clip(ARIA));
  await prepare('--from', at('clip-000002.tar'), '--objects', at('models'), '--mano', at('mano.npz'));
  const aria = await videosOf('clip-000002');
  for (const [i, { data }] of aria.entries()) expect(change(data, quest[i].data)).toBeLessThan(0.01);
});

test.each([
  [['x.mp4', '--from', 'a.tar'], 'video: is one too many: with --objects all three videos are drawn'],
  [[], 'objects: goes with one clip of HOT3D-Clips: --from clip-NNNNNN.tar'],
  [['--from', 'lost.tar'], /lost\.tar/],
])('%s is refused', async (args, message) => {
  await expect(prepare(...args, '--objects', at('models'))).rejects.toThrow(message);
});
