import { cp, mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../testing.ts';
import { contentsOf } from './contents.ts';

test('contents: what files hold, whenever and wherever; folders and what a .gltf draws from too', async () => {
  const root = await temporaryFolder();
  onTestFinished(() => rm(root, { recursive: true }));
  const [one, other] = [join(root, 'one'), join(root, 'other')];
  await mkdir(join(one, 'scene'), { recursive: true });
  await writeFile(join(one, 'scene/a.gltf'), '{"buffers":[{"uri":"a.bin"}]}');
  await writeFile(join(one, 'scene/a.bin'), 'points');
  await cp(one, other, { recursive: true });
  await utimes(join(other, 'scene/a.bin'), 1, 1);
  const both = (path: string) => Promise.all([one, other].map((folder) => contentsOf([join(folder, path)])));
  for (const path of ['scene', 'scene/a.gltf', 'scene/a.bin', 'none']) {
    const [a, b] = await both(path);
    expect(a, path).toEqual(b);
  }
  await writeFile(join(other, 'scene/a.bin'), 'POINTS');
  for (const path of ['scene', 'scene/a.gltf', 'scene/a.bin']) {
    const [a, b] = await both(path);
    expect(a, path).not.toEqual(b);
  }
});
