import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { InvalidFileError } from '../../errors.ts';
import { reach } from './reach.ts';

let dir: string;
let root: string;
beforeAll(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'dwm-reach-')));
  root = join(dir, 'root');
  for (const folder of ['root/in', 'outside', 'root-too'])
    await mkdir(join(dir, folder), { recursive: true });
  for (const file of ['root/in/x', 'outside/x', 'root-too/x']) await writeFile(join(dir, file), 'x');
  const links: [string, string][] = [
    ['in/x', 'file-inside'],
    ['in', 'folder-inside'],
    ['../outside/x', 'file-out'],
    ['../outside', 'folder-out'],
    ['file-out', 'chain-out'],
    ['../root-too/x', 'neighbour'],
    ['..', 'up'],
    ['.', 'itself'],
    ['../outside/none', 'dangling'],
    ['loop', 'loop'],
  ];
  for (const [target, name] of links) await symlink(target, join(root, name));
  await symlink('root', join(dir, 'root-link'));
});
afterAll(() => rm(dir, { recursive: true }));

const options = () => ({ root, file: 'list.txt', field: 'line 3' });

test.each([
  ['in/x', 'in/x'],
  ['./in//x', 'in/x'],
  ['file-inside', 'in/x'],
  ['folder-inside/x', 'in/x'],
  ['in/..x', 'in/..x'],
  ['not/yet/there', 'not/yet/there'],
  ['folder-inside/new', 'in/new'],
])('%s is in reach', async (path, target) => {
  expect(await reach(path, options())).toBe(join(root, target));
  expect(await reach(path, { ...options(), root: join(dir, 'root-link') })).toBe(join(root, target));
});

test.each([
  ['', 'is empty'],
  ['../outside/x', 'leads out by ".."'],
  ['in/../../outside/x', 'leads out by ".."'],
  ['/etc/passwd', 'is an absolute path'],
  ['C:/x', 'is an absolute path'],
  ['..\\outside\\x', 'has a backslash'],
  ['in/x\0.png', 'has a control character'],
  ['in/\x1b[2J', 'has a control character'],
  ['file-out', 'links to'],
  ['folder-out/x', 'links to'],
  ['folder-out/not/yet/there', 'links to'],
  ['chain-out', 'links to'],
  ['neighbour', 'links to'],
  ['up/outside/x', 'links to'],
  ['up', 'links to'],
  ['itself', 'links to'],
  ['dangling', 'is a link to a file that is not there'],
  ['dangling/x', 'is a link to a file that is not there'],
  ['loop', 'is a link that leads to itself'],
  ['in/x/y', 'cannot be reached: no such file or folder'],
  ['x'.repeat(300), 'cannot be reached: the name is too long'],
])('%j is out of reach', async (path, problem) => {
  const error: Error = await reach(path, options()).then(
    (target) => expect.fail(`reached ${target}`),
    (e) => e,
  );
  expect(error).toBeInstanceOf(InvalidFileError);
  expect(error.message).toMatch(/^list\.txt: line 3 "/);
  expect(error.message).toContain(problem);
  expect(error.message).not.toMatch(/\p{Cc}/u);
});

test('links are followed out where the owner says so, and nothing else is', async () => {
  const follow = { ...options(), followLinks: true };
  expect(await reach('folder-out/x', follow)).toBe(join(dir, 'outside/x'));
  expect(await reach('folder-out/new', follow)).toBe(join(dir, 'outside/new'));
  for (const path of ['../outside/x', '/etc/passwd', 'in/\0', 'dangling', 'loop'])
    await expect(reach(path, follow)).rejects.toThrow(InvalidFileError);
});

test('a second folder may be in reach', async () => {
  const two = { ...options(), alsoInto: [join(dir, 'outside')] };
  expect(await reach('file-out', two)).toBe(join(dir, 'outside/x'));
  await expect(reach('neighbour', two)).rejects.toThrow(
    `links to ${join(dir, 'root-too/x')}, outside ${root};`,
  );
});

test('a root that is not there is named', async () => {
  await expect(reach('x', { ...options(), root: join(dir, 'none') })).rejects.toThrow(
    `${join(dir, 'none')}: no such file or folder`,
  );
});
