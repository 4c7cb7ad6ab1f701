import { expect, test } from 'vitest';
import { kindOf } from './kinds.ts';

const files = (...paths: string[]) => paths.map((path) => ({ path, file: new File([], path) }));

test.each([
  [['kitchen.glb'], 'room'],
  [['scan.compressed.ply'], 'room'],
  [['transformer/config.json', 'vae/config.json'], 'model'],
  [['vae/diffusion_pytorch_model.safetensors'], 'model'],
  [['config.json', 'diffusion_pytorch_model.safetensors', 'Wan2.1_VAE.pth'], 'model'],
  [['lora_diffusion_pytorch_model.safetensors', 'non_lora_weights.safetensors'], 'lora'],
  [['pytorch_lora_weights.safetensors', 'non_lora_weights.safetensors'], 'lora'],
  [['adapter_model.safetensors', 'adapter_config.json'], 'lora'],
  [['cameras.bin', 'images.bin', 'points3D.bin'], 'trajectory'],
  [['closed_loop_trajectory.csv'], 'trajectory'],
  [['path.json'], 'trajectory'],
  [['a_static.mp4', 'a_hands.mp4'], 'videos'],
  [['a_static.mp4', 'a_hands.mp4', 'a.txt'], 'videos'],
  [['a.mp4'], 'unknown'],
  [['notes.txt'], 'unknown'],
  [[], 'unknown'],
])('%j is %s', (paths, kind) => {
  expect(kindOf(files(...paths)).kind).toBe(kind);
});

test('of two videos the one named after hands is the hands, whatever the order', () => {
  const what = kindOf(files('clip_hands.mp4', 'clip.mp4'));
  expect(what).toMatchObject({ hands: { path: 'clip_hands.mp4' }, scene: { path: 'clip.mp4' } });
});
