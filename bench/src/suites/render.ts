/**
 * Drawing the conditioning: 49 frames at 720x480 of a mesh room, of the same room as 120,000 splats, and of the default hands, into a tensor
 * on the device. Frames a second are the frames in the name by the time. Correctness is held by the goldens of
 * the renderer; here pictures must be finite and the same bits twice. No peer of ours draws in Node without a browser.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Device, DeviceTensor } from '@dwm/core-tensor';
import { openPath } from '@dwm/core-tensor/node';
import {
  frameTensor,
  fromAxisAngle,
  fromFieldOfView,
  HandRenderer,
  MeshRenderer,
  packFrame,
  placedCamera,
  RenderTarget,
  RiggedHand,
  SceneModel,
  type View,
} from '@dwm/renderer';
import { decodeImage, readDefaultHand, readGltfFile } from '@dwm/renderer/node';
import { readSplats, SplatRenderer, SplatScene } from '@dwm/renderer/splats';
import type { Case } from '../case.ts';
import type { Machine, Suite } from './suite.ts';

const [WIDTH, HEIGHT] = [720, 480];
const ROOT = resolve(import.meta.dirname, '../../..');
const ASSETS = resolve(ROOT, process.env.DWM_SHARED || '../shared', 'assets');

/** Draws one view into the tensor. */
interface Drawer {
  draw(view: View, into: DeviceTensor): Promise<void>;
  destroy(): void;
}

/** Turning on the spot in the middle of the room, at the height of a person's eyes. */
function views(frames: number, start: number): View[] {
  return Array.from({ length: frames }, (_, i) => ({
    intrinsics: fromFieldOfView(WIDTH, HEIGHT, Math.PI / 2),
    pose: placedCamera('opengl', [0, 1.6, 0.5], fromAxisAngle([0, start + (Math.PI * i) / 49, 0])),
  }));
}

function drawingCase(what: string, frames: number, open: (device: Device) => Promise<Drawer>): Case {
  return {
    name: `${what}, ${frames} frames of ${WIDTH}x${HEIGHT}`,
    async open(device) {
      const drawer = await open(device);
      const tensor = frameTensor(device, 'color', 1, HEIGHT, WIDTH);
      const sets = [0, 1].map((start) => views(frames, start));
      const prepared = {
        async run(set: number) {
          for (const view of sets[set]) await drawer.draw(view, tensor);
          await device.done();
        },
        read: async () => (await tensor.read()) as Float32Array,
        async dispose() {
          drawer.destroy();
          tensor.destroy();
        },
      };
      return {
        // What no renderer avoids: every frame's pixels written once. Shading is not counted in operations.
        cost: { flops: 0, bytes: frames * WIDTH * HEIGHT * 3 * 4 },
        expected: 'repeatable',
        sets: sets.length,
        contenders: [{ peer: 'dwm', formulation: 'dwm', runsOn: 'shared', prepare: async () => prepared }],
      };
    },
  };
}

const meshes =
  (shading: 'lit' | 'unlit') =>
  async (device: Device): Promise<Drawer> => {
    const scene = await readGltfFile(resolve(ASSETS, 'garage.glb'));
    const model = await SceneModel.load(device, scene, { decodeImage });
    const renderer = new MeshRenderer(device);
    const target = new RenderTarget(device, WIDTH, HEIGHT, { samples: 4 });
    return {
      async draw(view, into) {
        renderer.draw(model, view, target, { shading });
        packFrame(target.color, 'color', into, 0);
      },
      destroy: () => {
        for (const held of [model, renderer, target]) held.destroy();
      },
    };
  };

async function splats(device: Device): Promise<Drawer> {
  const source = await openPath(resolve(ASSETS, 'garage.splats.ply'));
  const scene = new SplatScene(device, await readSplats(source));
  await source.close?.();
  const renderer = new SplatRenderer(device);
  return {
    async draw(view, into) {
      const image = await renderer.render(scene, view);
      packFrame(image.color, 'color', into, 0);
      image.destroy();
    },
    destroy: () => {
      for (const held of [scene, renderer]) held.destroy();
    },
  };
}

async function hands(device: Device): Promise<Drawer> {
  const [left, right] = [
    new RiggedHand(device, await readDefaultHand('left')),
    new RiggedHand(device, await readDefaultHand('right')),
  ];
  const renderer = new HandRenderer(device);
  const target = new RenderTarget(device, WIDTH, HEIGHT);
  const rests = [left, right].map((hand) => hand.restJoints());
  return {
    async draw(view, into) {
      // Half a metre before the camera, wherever it looks.
      const m = view.pose.matrix;
      for (const [i, hand] of [left, right].entries()) {
        const joints = rests[i].slice();
        for (let at = 0; at < joints.length; at += 7)
          for (let axis = 0; axis < 3; axis++) joints[at + axis] += m[4 * axis + 3] - 0.5 * m[4 * axis + 2];
        hand.pose(joints);
      }
      renderer.draw({ left, right }, view, target);
      packFrame(target.color, 'color', into, 0);
    },
    destroy: () => {
      for (const held of [left, right, renderer, target]) held.destroy();
    },
  };
}

export const render: Suite = {
  name: 'render',
  about: 'static scenes and hands drawn into a tensor on the device',
  cases({ kind, quick }: Machine) {
    const frames = quick ? 7 : 49;
    const hand = drawingCase('default hands', frames, hands);
    if (!existsSync(ASSETS)) {
      console.log(`${ASSETS}: scenes skipped, no shared data`);
      return [hand];
    }
    return [
      drawingCase('garage.glb lit', frames, meshes('lit')),
      drawingCase('garage.glb unlit', frames, meshes('unlit')),
      drawingCase('120k splats', kind === 'software' ? Math.ceil(frames / 7) : frames, splats),
      hand,
    ];
  },
};
