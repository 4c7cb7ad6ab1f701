/** `dwm caption` against a server in this process. */
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { writeVideo } from '@dwm/media/node';
import { Command } from 'commander';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { contextOf, rewritten, sampledFrames } from '../caption/questions.ts';
import { temporaryFolder } from '../testing.ts';
import { addCaption } from './caption.ts';

let root: string;
let server: Server;
let url: string;
let questions: { path: string; body: Record<string, unknown>; key: string | undefined }[] = [];
let answers: (string | number)[] = [];

beforeAll(async () => {
  root = await temporaryFolder();
  server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    questions.push({ path: request.url!, body: JSON.parse(text), key: request.headers.authorization });
    const answer = answers.length > 1 ? answers.shift()! : answers[0];
    response.statusCode = typeof answer === 'number' ? answer : 200;
    response.end(JSON.stringify({ choices: [{ message: { content: answer } }] }));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const data = Uint8Array.from({ length: 5 * 16 * 16 * 3 }, (_, i) => i % 251);
  for (const stem of ['1', '2'])
    await writeVideo(join(root, `scene/act/videos/${stem}.mp4`), {
      data,
      frames: 5,
      height: 16,
      width: 16,
      fps: 8,
    });
  await mkdir(join(root, 'actions'));
  await writeFile(
    join(root, 'actions/act.txt'),
    '0\t80\tsit down\n75\t400\topen the door\nbad line\n900\t950\tleave\n',
  );
});
beforeEach(() => {
  questions = [];
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await new Promise((done) => server.close(done));
  await rm(root, { recursive: true });
});

async function run(...args: string[]): Promise<void> {
  const program = new Command('dwm').option('--json').exitOverride();
  addCaption(program);
  const words = ['caption', '--endpoint', url, '--model-name', 'm', '--root-dir', root, ...args];
  await program.parseAsync(words, { from: 'user' });
}
const read = (path: string) => readFile(join(root, 'scene/act', path), 'utf8');

test('captions: frames as pictures, the actions told; what is there is left alone', async () => {
  answers = [' My hand opens the door. '];
  await run('--num-sampled-frames', '3', '--actions-root', join(root, 'actions'));
  expect(await read('prompts/1.txt')).toBe('My hand opens the door.\n');
  expect(questions).toHaveLength(2);
  const [{ path, body }] = questions;
  expect(path).toBe('/v1/chat/completions');
  expect(body).toMatchObject({ model: 'm', temperature: 0.1, max_tokens: 512 });
  const [{ content }] = body.messages as {
    content: { type: string; text?: string; image_url?: { url: string } }[];
  }[];
  expect(content.filter(({ type }) => type === 'image_url')).toHaveLength(3);
  expect(content[1].image_url!.url).toMatch(/^data:image\/png;base64,iVBOR/);
  expect(content.at(-1)!.text).toContain('open the door');
  await run();
  expect(questions).toHaveLength(2);
  await run('--overwrite', '--array-index', '1', '--num-splits', '2');
  expect(questions).toHaveLength(3);
});

test('rewriting: the answer must be JSON of that form; it is asked again until it is', async () => {
  answers = [
    'no',
    '{"rewritten description": "your rewritten description here"}',
    'Sure: {"rewritten description": "A \\"hand\\"."}',
  ];
  await run('--rewrite');
  expect(questions).toHaveLength(4);
  expect(await read('prompts_rewrite/1.txt')).toBe('A "hand".\n');
  expect(await read('prompts_rewrite/2.txt')).toBe('A "hand".\n');
  await rm(join(root, 'scene/act/prompts_rewrite'), { recursive: true });
  questions = [];
  answers = ['never'];
  await expect(run('--rewrite', '--max-retry-count', '3')).rejects.toThrow(
    '0 captions written, 0 were there already, 2 failed',
  );
  expect(questions).toHaveLength(6);
});

test('what a link leads to out of the data root is not asked about', async () => {
  const secret = join(root, '..', `${basename(root)}-secret.txt`);
  await writeFile(secret, 'secret');
  const data = join(root, 'linked');
  await mkdir(join(data, 'scene/act/prompts'), { recursive: true });
  await symlink(secret, join(data, 'scene/act/prompts/1.txt'));
  answers = ['{"rewritten description": "A hand."}'];
  const ask = (...more: string[]) => run('--rewrite', '--data-root', data, ...more);
  for (const how of [[], ['--worker', '0/1']])
    await expect(ask(...how)).rejects.toThrow(
      /file "scene\/act\/prompts\/1\.txt" links to .*set `followLinks`/,
    );
  expect(questions).toHaveLength(0);
  await ask('--follow-links');
  expect(questions).toHaveLength(1);
  for (const path of [secret, data]) await rm(path, { recursive: true });
});

test('third-person captions are JSON with the fields of the original', async () => {
  await mkdir(join(root, 'scene/act/videos_third'), { recursive: true });
  await writeFile(
    join(root, 'scene/act/videos_third/1.mp4'),
    await readFile(join(root, 'scene/act/videos/1.mp4')),
  );
  answers = ['I sit down.'];
  await run('--video-type', 'third_person');
  expect(JSON.parse(await read('prompts_aux/1.json'))).toEqual({ prompt: 'I sit down.', action_hints: [] });
});

test('an endpoint that refuses, or is not there, ends it at once, in one line', async () => {
  answers = [404];
  await expect(run('--overwrite')).rejects.toThrow(/answered 404.*check --endpoint and --model-name$/s);
  expect(questions).toHaveLength(1);
  answers = [500];
  await expect(run('--overwrite', '--max-retry-count', '2')).rejects.toThrow('2 failed');
  await expect(run('--endpoint', 'http://127.0.0.1:1/v1', '--overwrite')).rejects.toThrow(
    /does not answer .*check --endpoint/,
  );
  await expect(run('--endpoint', 'file:///x')).rejects.toThrow('--endpoint: expected a URL');
  await expect(run('--endpoint', 'http://me:secret@127.0.0.1:1/v1')).rejects.toThrow(
    /^--endpoint: expected an address alone, without user/,
  );
});

test('frames, hints and answers as the original has them', async () => {
  expect(sampledFrames(49, 16)).toEqual([0, 3, 6, 10, 13, 16, 19, 22, 26, 29, 32, 35, 38, 42, 45, 48]);
  expect(sampledFrames(9, 1)).toEqual([0]);
  const from = { actionsRoot: join(root, 'actions'), clipLength: 49, clipStride: 25, frameSkip: 3 };
  const clip = { folder: root, action: 'act' };
  expect((await contextOf({ ...clip, stem: '00001' }, from)).hints).toEqual(['open the door', 'sit down']);
  expect((await contextOf({ ...clip, stem: '00000' }, from)).hints).toEqual(['sit down', 'open the door']);
  expect((await contextOf({ ...clip, stem: 'x' }, from)).hints).toEqual([]);
  expect(rewritten('{"rewritten description": ""}')).toBeUndefined();
  expect(rewritten('{"other": "x"}')).toBeUndefined();
});
