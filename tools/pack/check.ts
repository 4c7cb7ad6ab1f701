/**
 * Proof that the tarballs are of use to others: they are installed into an empty folder outside the repository, where
 * the examples are checked by a strict compiler, run in plain Node, and built as a page by Vite. The programs in the
 * packages' READMEs are checked by the compiler, too.
 */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pack } from './main.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const NODE_PROGRAMS = ['kernel', 'generate', 'rank', 'train-lora'];

const STRICT = {
  ...{ strict: true, module: 'nodenext', target: 'esnext', types: ['node'], outDir: 'out' },
  lib: ['esnext', 'dom', 'dom.iterable', 'dom.asynciterable'],
};

/** What a README leaves to its reader: names that begin small. */
const LEFT_TO_READER = /error TS(2304|2552): .* name '[a-z]|error TS(18004|7006): /;

const folder = await mkdtemp(join(tmpdir(), 'dwm-consumer-'));
try {
  await install(await pack());
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: STRICT, include: ['*.ts', 'page/*.ts'] }),
  );
  typeCheck();
  for (const name of NODE_PROGRAMS) run('node', [`out/${name}.js`]);
  run('npx', ['dwm', '--help']);
  await cp(join(folder, 'node_modules/@dwm/dwm-tiny'), join(folder, 'page/public/model'), {
    recursive: true,
  });
  run('npx', ['vite', 'build', 'page']);
  process.stdout.write('the tarballs install, type-check, run in Node and build with Vite\n');
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function install(tarballs: readonly string[]): Promise<void> {
  const { devDependencies: root } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  const { devDependencies: web } = JSON.parse(await readFile(join(ROOT, 'apps/web/package.json'), 'utf8'));
  const tools = ['typescript', '@types/node'].map((name) => `${name}@${root[name]}`);
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  run('npm', ['install', ...flags, ...tarballs, ...tools, `vite@${web.vite}`]);
  const examples = (await readdir(join(ROOT, 'examples'))).filter((name) => name.endsWith('.ts'));
  for (const name of examples) await cp(join(ROOT, 'examples', name), join(folder, name));
  await mkdir(join(folder, 'page'));
  await cp(join(ROOT, 'examples/page'), join(folder, 'page'), { recursive: true });
  await writeReadmes();
}

/** The TypeScript of the packages' READMEs, a file for each block. */
async function writeReadmes(): Promise<void> {
  for (const name of await readdir(join(ROOT, 'packages'))) {
    const text = await readFile(join(ROOT, 'packages', name, 'README.md'), 'utf8');
    for (const [i, [, block]] of [...text.matchAll(/^```ts\n(.*?)^```/gms)].entries())
      await writeFile(join(folder, `readme-${name}-${i}.ts`), `${block}\nexport {};\n`);
  }
}

/** Compiles the examples to out/. Faults between other people's declarations, such as WebCodecs' twice, are not ours. */
function typeCheck(): void {
  const { stdout } = spawnSync('npx', ['tsc', '-p', '.'], { cwd: folder, encoding: 'utf8' });
  const ours = stdout
    .split('\n')
    .filter((line) => /error TS/.test(line))
    .filter((line) => !line.startsWith('node_modules/') || line.startsWith('node_modules/@dwm/'))
    .filter((line) => !(line.startsWith('readme-') && LEFT_TO_READER.test(line)));
  if (ours.length > 0) throw new Error(`the declarations of the tarballs: ${ours.join('\n')}`);
}

function run(command: string, args: string[]): void {
  process.stdout.write(`$ ${command} ${args.join(' ').replaceAll(ROOT, '.')}\n`);
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  if (status === 0) return;
  const said = `${stdout}${stderr}`.trim();
  throw new Error(`${command} ${args[0]} in an empty folder: exit code ${status}: ${said.slice(-2000)}`);
}
