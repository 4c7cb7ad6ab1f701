import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDirectory } from '@dwm/core-tensor/node';
import { expect, test } from 'vitest';
import { DEFAULTS, readRunSettings } from './index.ts';

test('what a model says of itself, the original for the rest; what cannot be is named', async () => {
  const path = await mkdtemp(join(tmpdir(), 'dwm-settings-'));
  const folder = await openDirectory(path);
  const given = async (json: object) => {
    await writeFile(join(path, 'generation.json'), JSON.stringify(json));
    return readRunSettings(folder);
  };
  try {
    const { seed, strength, ...originals } = DEFAULTS;
    expect(await readRunSettings(folder)).toEqual({ ...originals, fps: 8, composite: false });
    expect(
      await given({ height: 64, width: 96, num_frames: 17, guidance_scale: 1, composite: true }),
    ).toEqual({
      ...originals,
      ...{ height: 64, width: 96, numFrames: 17, guidanceScale: 1, fps: 8, composite: true },
    });
    await expect(given({ frames: 17 })).rejects.toThrow(/generation\.json: frames: unknown key; known keys/);
    await expect(given({ num_frames: 16 })).rejects.toThrow(/num_frames: expected 4k \+ 1 frames.*got 16/);
    await expect(given({ width: -96 })).rejects.toThrow(/generation\.json: width: /);
  } finally {
    await rm(path, { recursive: true });
  }
});
