/**
 * npm run pack: every published package as a tarball in out/npm, ready for `npm publish out/npm/<name>.tgz`.
 * The repository itself runs from its sources; only what is published is compiled.
 */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { compile } from './compile.ts';
import { type Manifest, publishedManifest } from './manifest.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const OUT = join(ROOT, 'out/npm');
const COMPILED = join(OUT, 'compiled');

/** What is published, each after those that it needs. */
const PUBLISHED = [
  'packages/kernels-wgsl',
  'packages/core-tensor',
  'packages/media',
  'packages/dwm-model',
  'packages/renderer',
  'packages/hands',
  'packages/synth',
  'models/dwm-tiny',
  'models/dwm-tiny-live',
  'apps/cli',
];

/** Makes the tarballs; gives back their paths. */
export async function pack(): Promise<string[]> {
  await rm(OUT, { recursive: true, force: true });
  await mkdir(OUT, { recursive: true });
  const compiled = PUBLISHED.filter((folder) => !folder.startsWith('models/'));
  await compile(ROOT, compiled, COMPILED);
  const tarballs: string[] = [];
  for (const folder of PUBLISHED) {
    const stage = await stagePackage(folder, compiled.includes(folder));
    const { status, stdout, stderr } = spawnSync(
      'npm',
      ['pack', stage, '--pack-destination', OUT, '--silent'],
      { encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`npm pack ${stage}: ${stderr}`);
    tarballs.push(join(OUT, stdout.trim()));
  }
  await rm(COMPILED, { recursive: true });
  return tarballs;
}

/** The folder of a package as it is published. */
async function stagePackage(folder: string, isCode: boolean): Promise<string> {
  const source = join(ROOT, folder);
  const manifest: Manifest = JSON.parse(await readFile(join(source, 'package.json'), 'utf8'));
  const stage = join(OUT, manifest.name.replace('@', '').replace('/', '-'));
  if (isCode) {
    await cp(join(COMPILED, folder, 'src'), join(stage, 'dist'), { recursive: true });
    for (const part of ['bin/dwm.js', 'README.md', 'weights'])
      await cp(join(source, part), join(stage, part), { recursive: true }).catch(() => {});
  } else await cp(source, stage, { recursive: true });
  await cp(join(ROOT, 'LICENSE'), join(stage, 'LICENSE'));
  await writeFile(join(stage, 'package.json'), `${JSON.stringify(publishedManifest(manifest), null, 2)}\n`);
  return stage;
}

if (import.meta.filename === process.argv[1]) {
  for (const tarball of await pack()) process.stdout.write(`${tarball}\n`);
}
