/** The built page, driven as a visitor would: in Chromium on SwiftShader. Pictures of it are left in `out/pictures`. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeSafetensors } from '@dwm/core-tensor/files';
import { openDirectory, openNodeDevice } from '@dwm/core-tensor/node';
import { clipPsnr } from '@dwm/dwm-model/metrics';
import { hasHandWeights } from '@dwm/hands/node';
import { fromFieldOfView } from '@dwm/renderer';
import { Random } from '@dwm/synth';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findChromium, NO_CHROMIUM } from '../../../tools/chromium/browser.ts';
import { hasLiveModel, modelFolder } from '../build/built-in-models.ts';
import { readLink, writeLink } from './export/link.ts';
import { GALLERY } from './gallery/rooms.ts';
import { handBefore } from './scene-editor/hand-rig.ts';
import { presetTrajectory } from './scene-editor/presets.ts';
import { boxGlb } from './testing/box-glb.ts';
import { fakeCamera } from './testing/fake-camera.ts';
import { act, drop } from './testing/monkey.ts';
import { BUILT, type OpenPage, PageServer, servePage, type TraceEvent } from './testing/open-page.ts';
import { noFirefox, noWebKit, startFirefox, startWebKit } from './testing/other-browsers.ts';
import { generate } from './worker/generate.ts';
import { loadModel } from './worker/model.ts';
import type { Settings } from './worker/protocol.ts';

const PICTURES = join(import.meta.dirname, '../out/pictures');
/** For one wait, on a software adapter of a busy machine. */
const PATIENCE = 120_000;
/** For a test: longer, so that the wait that was in vain says what for. */
const WHOLE_TEST = 300_000;

/** Of the visitor who does anything at all: `MONKEY=2000,7` asks for more, and for another visitor. */
const [ACTIONS, VISITOR] = (process.env.MONKEY ?? '40,28').split(',').map(Number);

const HANDS_CLIP = resolve(
  import.meta.dirname,
  '../../..',
  process.env.DWM_SHARED || '../shared',
  'realworld/videos/00017.mp4',
);
const NO_CAMERA = !hasHandWeights() ? 'no weights' : !existsSync(HANDS_CLIP) ? 'no shared data' : undefined;

/** As small as a run gets, so that many fit into a test. */
const SMALL: Settings = {
  width: 48,
  height: 32,
  frames: 9,
  fps: 8,
  steps: 2,
  guidance: 1,
  seed: 7,
  prompt: '',
};

const smallLink = (steps = SMALL.steps) => {
  const camera = { position: [0, 1.5, 0.4] as const, yaw: 0, pitch: -0.3 };
  const lens = fromFieldOfView(SMALL.width, SMALL.height, 1.2);
  const trajectory = presetTrajectory('pull', handBefore(camera, 'right'), camera, lens, SMALL);
  return writeLink({ room: 1_000_003, settings: { ...SMALL, steps }, trajectory });
};

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
/** Nothing is under way, and all that was asked for is done. */
const ready = (page: Page) =>
  page.locator('main[aria-busy=false][data-phase=ready]').waitFor({ timeout: PATIENCE });
const generated = (page: Page) =>
  page.locator('[data-made]').waitFor({ state: 'attached', timeout: PATIENCE });
/** Opens what is closed, so that its fields can be used as a visitor does. */
const unfold = (page: Page, name: string) =>
  page.locator('details:not([open]) > summary', { hasText: name }).click();
/** From the hand along the arrow, as the page shows both. */
async function dragAlongArrow(page: Page): Promise<void> {
  await page.locator('[data-showing=room] .call').waitFor({ timeout: PATIENCE });
  await page.getByRole('application').scrollIntoViewIfNeeded();
  const middle = async (part: string) => {
    const { x, y, width, height } = (await page.locator(`.call .line ${part}`).boundingBox())!;
    return [x + width / 2, y + height / 2];
  };
  const [[x, y], [toX, toY]] = [await middle('circle'), await middle('.arrow')];
  await page.mouse.move(x, y);
  await page.mouse.down();
  for (let i = 1; i <= 8; i++) {
    await page.mouse.move(x + 0.22 * i * (toX - x), y + 0.22 * i * (toY - y));
    await page.waitForTimeout(60);
  }
  await page.mouse.up();
}
/** Fills a field and leaves it, upon which it takes effect. */
async function change(page: Page, label: string, value: number): Promise<void> {
  const field = page.getByLabel(label, { exact: true });
  await field.fill(String(value));
  await field.blur();
}
const picture = (page: Page, name: string) => page.screenshot({ path: join(PICTURES, `${name}.png`) });
/** The picture of the room alone, as a PNG's address: nothing that lies over it counts. */
const roomAlone = (page: Page): Promise<string> =>
  page.locator('canvas.live').evaluate((canvas: HTMLCanvasElement) => {
    const copy = Object.assign(document.createElement('canvas'), {
      width: canvas.width,
      height: canvas.height,
    });
    copy.getContext('2d')!.drawImage(canvas, 0, 0);
    return copy.toDataURL();
  });
/** Does something, and waits until the room, which was still, looks different. */
async function changesRoom(page: Page, what: string, act: () => Promise<void>): Promise<void> {
  await ready(page);
  let before = '';
  const still = async () => {
    const last = before;
    before = await roomAlone(page);
    return before === last;
  };
  const polled = { timeout: PATIENCE, intervals: [300] };
  await expect.poll(still, { ...polled, message: 'the room is still' }).toBe(true);
  await act();
  const message = `${what} changes the room`;
  await expect.poll(async () => (await roomAlone(page)) !== before, { ...polled, message }).toBe(true);
}

/** What the page says that a run takes, in GB. */
async function memoryOf(page: Page): Promise<number> {
  const words = await page.getByText(/^takes .* of memory$/).textContent({ timeout: PATIENCE });
  const [, value, unit] = /([\d.]+) (MB|GB)/.exec(words!)!;
  return Number(value) / (unit === 'MB' ? 1000 : 1);
}

/** The motion as a visitor takes it away. Another program's picture may lie over the page's buttons. */
async function motionOf(
  page: Page,
): Promise<{ frames: { hands: Record<string, { joints: number[][] }> }[] }> {
  const download = page.waitForEvent('download', { timeout: PATIENCE });
  await page.locator('button', { hasText: 'Motion (json)' }).dispatchEvent('click');
  return JSON.parse(readFileSync(await (await download).path(), 'utf8'));
}

/** Keeps the camera that the page opens, so that it can be pulled out. */
const KEEPS_CAMERA = `const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (asked) => (globalThis.camera = await open(asked));`;

/** Adds up in the page how far things moved by themselves. */
const SHIFTS = `globalThis.shifted = 0;
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput } of list.getEntries()) if (!hadRecentInput) shifted += value;
  }).observe({ type: 'layout-shift', buffered: true });`;

/** Milliseconds of processor time of the longest task on any page's main thread. */
function longestTask(events: readonly TraceEvent[]): number {
  const key = ({ pid, tid }: TraceEvent) => `${pid} ${tid}`;
  const named = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
  const main = new Set(named.map(key));
  const tasks = events.filter((event) => /RunTask$/.test(event.name) && main.has(key(event)));
  return tasks.reduce((most, { tdur = 0 }) => Math.max(most, tdur / 1000), 0);
}

/** The same run by the same engine in Node, on SwiftShader there too. */
async function generateInNode(
  scene: readonly number[],
  hands: readonly number[],
  prompt: string,
): Promise<Uint8Array> {
  const device = await openNodeDevice({ adapter: 'swiftshader' });
  const { signal } = new AbortController();
  const model = await loadModel(device, await openDirectory(modelFolder()));
  const clip = (data: readonly number[]) => ({ ...SMALL, data: Uint8Array.from(data) });
  const { video } = await generate(
    model,
    { scene: clip(scene), hands: clip(hands), settings: { ...SMALL, prompt } },
    () => {},
    signal,
  );
  model.pipeline.destroy();
  device.destroy();
  return video.data;
}

/** A headset in the page, with hands instead of controllers. */
function headset(): string {
  const iwer = createRequire(import.meta.url).resolve('iwer/build/iwer.min.js');
  return `${readFileSync(iwer, 'utf8')}
    const headset = new IWER.XRDevice(IWER.metaQuest3);
    headset.installRuntime({ forceInstall: true });
    headset.primaryInputMode = 'hand';`;
}

/** All frames of a picture as the page shows them. */
async function framesOf(page: Page, pane: string, frames: number): Promise<number[][]> {
  const all: number[][] = [];
  // Before there is an answer, this is what there is to play.
  const given = page.locator('details:not([open]) > summary', { hasText: 'What the model is given' });
  if ((await given.count()) > 0) await given.dispatchEvent('click');
  for (let frame = 0; frame < frames; frame++) {
    await page.getByLabel('Frame', { exact: true }).fill(String(frame));
    all.push(await pixelsOf(page, pane));
  }
  return all;
}

/** A picture as it is at the moment. */
const pixelsOf = (page: Page, name: string): Promise<number[]> =>
  page.locator(`canvas[data-picture=${name}]`).evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    return Array.from(data).filter((_, i) => i % 4 !== 3);
  });

/** What axe finds wrong: the rule, and where. */
async function violations(page: Page): Promise<string[]> {
  const source = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
  await page.evaluate(readFileSync(source, 'utf8'));
  return page.evaluate(`axe.run().then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(', ')))`);
}

/** Of a model for whole clips that is told to look back only, without having learnt it. */
async function liveFolder(): Promise<string> {
  const folder = join(PICTURES, '../dwm-tiny-live');
  await cp(modelFolder(), folder, { recursive: true });
  const path = join(folder, 'transformer/config.json');
  const config = {
    ...JSON.parse(readFileSync(path, 'utf8')),
    causal: { block_frames: 1, window: 5, sink: 0 },
  };
  await writeFile(path, JSON.stringify(config));
  return folder;
}

/** Fine-tuned weights of one layer, for a network of this width. */
function lora(width: number): Uint8Array {
  const tensor = (shape: number[]) => ({
    dtype: 'F32' as const,
    shape,
    data: new Float32Array(shape[0] * shape[1]).fill(0.01),
  });
  const layer = 'transformer_blocks.0.attn1.to_q';
  return writeSafetensors(
    new Map([
      [`${layer}.lora_A.weight`, tensor([1, width])],
      [`${layer}.lora_B.weight`, tensor([width, 1])],
    ]),
  );
}

describe.skipIf(!findChromium())(findChromium() ? 'in Chromium' : NO_CHROMIUM, () => {
  let server: PageServer;
  let open: OpenPage;
  beforeAll(async () => {
    mkdirSync(PICTURES, { recursive: true });
    server = await PageServer.start();
  }, WHOLE_TEST);
  afterAll(() => server?.close());

  test(
    'a first visit: a recording plays at once, nothing large is fetched, and a drag is answered',
    async () => {
      open = await server.open('', undefined, SHIFTS);
      const { page, complaints } = open;
      const recording = page.locator('img.recording.shown');
      await recording.evaluate((image: HTMLImageElement) => image.decode());
      // Nothing is there to be taken yet.
      await page.mouse.move(400, 300);
      await page.mouse.move(420, 320);
      await picture(page, '1-first-visit');
      expect(await violations(page)).toEqual([]);
      await page.locator('[data-showing=room] .call').waitFor({ timeout: PATIENCE });
      await picture(page, '2-room');
      await unfold(page, 'Settings');
      await change(page, 'Frames', SMALL.frames);
      await ready(page);
      // Typed while another one takes effect, a number stays until it is left, and then takes effect too.
      const width = page.getByLabel('Width, pixels', { exact: true });
      await width.fill(String(SMALL.width));
      await page.getByLabel('Height, pixels', { exact: true }).evaluate((field: HTMLInputElement, height) => {
        field.value = String(height);
        field.dispatchEvent(new Event('change', { bubbles: true }));
      }, SMALL.height);
      await ready(page);
      expect(await width.inputValue()).toBe(String(SMALL.width));
      expect(await width.evaluate((field) => field === document.activeElement)).toBe(true);
      await width.blur();
      await ready(page);
      await page.locator('details[open] > summary', { hasText: 'Settings' }).click();
      await server.trace(page);
      await dragAlongArrow(page);
      await generated(page);
      await page.locator('[data-showing=answer]').waitFor();
      // Long Tasks count the time for which other programs had the processor; a trace knows the page's own.
      const longest = longestTask(await server.traced());
      expect(longest).toBeGreaterThan(0);
      expect(longest).toBeLessThan(50);
      await picture(page, '3-answered');
      const { fetched } = open;
      expect(
        fetched.filter((name) => /rapier|take-away|read-videos|hand-finder|weights|basis_|draco_/.test(name)),
      ).toEqual([]);
      const bytes = fetched
        .filter((name) => !name.startsWith('models/'))
        .reduce((sum, name) => sum + gzipSync(readFileSync(join(BUILT, name || 'index.html'))).length, 0);
      expect(bytes).toBeGreaterThan(200_000);
      expect(bytes).toBeLessThan(400_000);
      // The words are the room's own, as the hand did what the room is for.
      expect(await page.locator('[data-words]').getAttribute('data-words')).toBe('room');
      expect(await page.evaluate('shifted')).toBeLessThan(0.05);
      const shown = await framesOf(page, 'generated', 2);
      expect(shown[0].length).toBe(3 * SMALL.width * SMALL.height);
      expect(new Set(shown[0]).size).toBeGreaterThan(10);
      expect(complaints).toEqual([]);
    },
    WHOLE_TEST,
  );

  test(
    'the simulator beside it, and the same hand held back',
    async () => {
      const { page, complaints } = open;
      await page.keyboard.press('KeyT');
      await page.locator('canvas[data-picture=truth]').waitFor({ timeout: PATIENCE });
      await ready(page);
      await button(page, 'A hand that touches nothing').click();
      await page.locator('canvas[data-picture=apart]').waitFor({ timeout: PATIENCE });
      await ready(page);
      const [truth] = (await framesOf(page, 'truth', SMALL.frames)).slice(-1);
      const [first] = await framesOf(page, 'truth', 1);
      expect(truth.length).toBe(9 * 3 * SMALL.width * SMALL.height);
      // The drawer is open at the end, so a good part of the picture has changed.
      expect(truth.filter((value, i) => Math.abs(value - first[i]) > 20).length).toBeGreaterThan(
        truth.length / 50,
      );
      await picture(page, '4-beside');
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press('KeyT');
      expect(await page.locator('canvas[data-picture=truth]').count()).toBe(0);
      expect(complaints).toEqual([]);
    },
    WHOLE_TEST,
  );

  test(
    'a hand pushed the other way is told what it does; it is called back when it is lost; without a network all is there, by keys too',
    async () => {
      const { page, complaints } = open;
      const room = page.getByRole('application');
      await button(page, 'Take the hand again').click();
      await room.press('PageUp');
      await room.press('ArrowUp');
      await page.locator('[data-words=motion]').waitFor({ state: 'attached', timeout: PATIENCE });
      await generated(page);
      expect(await page.getByText(/^Told: /).textContent()).toMatch(/The (left|right) hand .*\./);
      const box = (await room.boundingBox())!;
      await page.mouse.move(box.x + 20, box.y + 20);
      await page.mouse.down({ button: 'right' });
      await page.mouse.move(box.x + box.width - 20, box.y + 20, { steps: 4 });
      await page.mouse.up({ button: 'right' });
      const back = page.getByRole('button', { name: /out of view/ });
      await back.click();
      expect(await back.count()).toBe(0);
      await page.waitForFunction(() => navigator.serviceWorker.controller, undefined, { timeout: PATIENCE });
      await page.context().setOffline(true);
      await page.reload();
      await page.locator('[data-showing=room] .call').waitFor({ timeout: PATIENCE });
      // Looking around, and the wrist.
      for (const keys of ['Shift+ArrowLeft', 'Shift+KeyZ'])
        await changesRoom(page, keys, () => room.press(keys));
      // The browser itself reports what was asked of the network in vain.
      expect(complaints.filter((line) => !line.startsWith('Failed to load resource'))).toEqual([]);
      await page.context().setOffline(false);
    },
    WHOLE_TEST,
  );

  test(
    'a link brings everything back; a run that is cancelled makes nothing',
    async () => {
      const link = await smallLink(500);
      open = await server.open(link);
      const { page, complaints } = open;
      await button(page, 'Cancel').click({ timeout: PATIENCE });
      await page
        .getByRole('alert')
        .filter({ hasText: 'stopped while it loaded' })
        .waitFor({ timeout: PATIENCE });
      await button(page, 'Start again').click();
      await ready(page);
      // A run as long as this one waits for whoever opened it.
      expect(await page.locator('[data-made]').count()).toBe(0);
      await unfold(page, 'Settings');
      await unfold(page, 'Share');
      await button(page, 'Link').click();
      const address = await page.getByLabel('The link').inputValue();
      expect(await readLink(new URL(address).hash)).toEqual(await readLink(link));
      await button(page, 'Generate').click();
      await page.getByText(/step \d+ of 500, .* a step, .* left/).waitFor({ timeout: PATIENCE });
      await page.locator('[data-showing=answer]').waitFor({ timeout: PATIENCE });
      await picture(page, '7-running');
      await button(page, 'Cancel').click();
      await ready(page);
      expect(await page.locator('[data-made]').count()).toBe(0);
      // The link's motion outlives other sizes, as one's own does.
      const wrists = async () =>
        (await motionOf(page)).frames.flatMap(({ hands }) => hands.right.joints[0].slice(0, 3));
      const before = await wrists();
      for (const width of [SMALL.width + 16, SMALL.width]) {
        await change(page, 'Width, pixels', width);
        await ready(page);
        const apart = (await wrists()).map((value, i) => Math.abs(value - before[i]));
        expect(Math.max(...apart)).toBeLessThan(1e-3);
      }
      expect(complaints).toEqual([]);
    },
    WHOLE_TEST,
  );

  test(
    'a run gives the same numbers as in Node, and is taken away',
    async () => {
      const { page, complaints } = open;
      await change(page, 'Steps', SMALL.steps);
      // Pressed while the size still takes effect, it makes a clip of that size.
      await change(page, 'Width, pixels', SMALL.width + 16);
      await button(page, 'Generate').click();
      await generated(page);
      const made = page.locator('canvas[data-picture=generated]');
      await expect
        .poll(() => made.evaluate((canvas: HTMLCanvasElement) => canvas.width), { timeout: PATIENCE })
        .toBe(SMALL.width + 16);
      await change(page, 'Width, pixels', SMALL.width);
      await ready(page);
      const scene = await framesOf(page, 'scene', SMALL.frames);
      const hands = await framesOf(page, 'hands', SMALL.frames);
      const words = page.getByLabel('What the model is told');
      const told = await words.inputValue();
      expect(told).toMatch(/^The right hand /);
      await button(page, 'Generate').click();
      const [want] = await Promise.all([generateInNode(scene.flat(), hands.flat(), told), generated(page)]);
      const shown = await framesOf(page, 'generated', SMALL.frames);
      const clip = (data: Uint8Array) => ({ ...SMALL, data });
      const { wholeClip } = clipPsnr(clip(Uint8Array.from(shown.flat())), clip(want));
      expect(wholeClip).toBeGreaterThanOrEqual(45);
      const taken = new Map<string, Uint8Array>();
      for (const [name, start] of [
        ['Video (mp4)', [0, 0, 0]],
        ['GIF', [0x47, 0x49, 0x46]],
        ['Contact sheet (png)', [0x89, 0x50, 0x4e]],
        ['Motion (json)', [0x7b, 0x22, 0x66]],
      ] as const) {
        const download = page.waitForEvent('download', { timeout: PATIENCE });
        await button(page, name).click();
        const bytes = readFileSync(await (await download).path());
        expect([...bytes.subarray(0, 3)], name).toEqual(start);
        expect(bytes.length, name).toBeGreaterThan(1000);
        taken.set(name, bytes);
      }
      const video = taken.get('Video (mp4)')!;
      await drop(page, ['a_hands.mp4', video], ['a_static.mp4', video]);
      const name = page.locator('.pane small', { hasText: 'a_hands.mp4' });
      await name.waitFor({ timeout: PATIENCE });
      await ready(page);
      const notes = await page.locator('main > .hint').allTextContents();
      expect(notes[0]).toMatch(/^all 9 frames, 1\.1 s; .*; dwm-tiny knows only simulated rooms$/);
      expect(notes[1]).toMatch(/of the hand video is not black|neither green nor coral/);
      expect(await words.inputValue()).toBe('');
      await words.fill('My own words.');
      await words.blur();
      // Another size reads them anew; nothing but another room takes their place.
      for (const width of [SMALL.width + 16, SMALL.width]) {
        await change(page, 'Width, pixels', width);
        await ready(page);
      }
      expect(await name.textContent()).toBe('a_hands.mp4');
      expect(await words.inputValue()).toBe('My own words.');
      await button(page, "Use the page's words").click();
      await ready(page);
      expect(await words.inputValue()).toBe('');
      expect(complaints).toEqual([]);
    },
    WHOLE_TEST,
  );

  test(
    'a scene is dropped, a broken one leaves the page as it was',
    async () => {
      const { page, complaints } = open;
      await drop(page, ['box.glb', boxGlb()]);
      const boxed = page.locator('.pane small', { hasText: 'box.glb' });
      await boxed.waitFor({ state: 'attached', timeout: PATIENCE });
      await ready(page);
      const notes = page.locator('main > .hint');
      expect(await notes.allTextContents()).toEqual(['dwm-tiny knows only simulated rooms']);
      const [scene] = await framesOf(page, 'scene', 1);
      await picture(page, '5-dropped-scene');
      // Of three splats the middle one is damaged.
      const rows = [0, 1, 2].map((i) =>
        Float32Array.of(i, 0, i === 1 ? Number.NaN : -2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5),
      );
      const fields = 'x y z f_dc_0 f_dc_1 f_dc_2 scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3 opacity';
      const header = ['ply', 'format binary_little_endian 1.0', 'element vertex 3'].concat(
        fields.split(' ').map((field) => `property float ${field}`),
        'end_header\n',
      );
      const cloud = Buffer.concat([
        Buffer.from(header.join('\n')),
        ...rows.map((row) => Buffer.from(row.buffer)),
      ]);
      await drop(page, ['cloud.ply', cloud]);
      await notes.filter({ hasText: 'cloud.ply: 1 of 3 splats are damaged' }).waitFor({ timeout: PATIENCE });
      await ready(page);
      await drop(page, ['box.glb', boxGlb()]);
      await boxed.waitFor({ state: 'attached', timeout: PATIENCE });
      await ready(page);
      await drop(page, ['broken.glb', boxGlb().subarray(0, 300)]);
      await page.getByRole('alert').filter({ hasText: 'broken.glb' }).waitFor({ timeout: PATIENCE });
      await picture(page, '6-broken-scene');
      expect(await violations(page)).toEqual([]);
      await ready(page);
      expect(await framesOf(page, 'scene', 1)).toEqual([scene]);
      await drop(page, ['motion.json', new TextEncoder().encode('{"frames": 3}')]);
      await page.getByRole('alert').filter({ hasText: 'motion.json' }).waitFor({ timeout: PATIENCE });
      for (const [label, value] of [
        ['Steps', 0],
        ['Seed', -1],
        ['Width, pixels', 1e9],
        ['Memory, GB', 0],
      ] as const) {
        const field = page.getByLabel(label, { exact: true });
        const kept = await field.inputValue();
        await change(page, label, value);
        const [name] = label.split(',');
        await page.getByRole('alert').filter({ hasText: name }).waitFor({ timeout: PATIENCE });
        await ready(page);
        expect(await field.inputValue(), label).toBe(kept);
      }
      await drop(page, ['nothing.glb', new Uint8Array()]);
      await page
        .getByRole('alert')
        .filter({ hasText: 'nothing.glb: is empty' })
        .waitFor({ timeout: PATIENCE });
      // Fine-tuned weights of another network, then of this one.
      const file = 'my-style.safetensors';
      await drop(page, [file, lora(64)]);
      await page.getByRole('alert').filter({ hasText: file }).waitFor({ timeout: PATIENCE });
      await ready(page);
      await drop(page, [file, lora(256)]);
      await page.locator('footer', { hasText: `with ${file}` }).waitFor({ timeout: PATIENCE });
      await ready(page);
      expect(complaints).toEqual([]);
    },
    WHOLE_TEST,
  );

  test(
    'device loss is said, and the page recovers with what was made',
    async () => {
      const { page } = open;
      await button(page, 'Generate').click();
      await generated(page);
      const panes = ['scene', 'hands', 'generated'];
      const all = () => Promise.all(panes.map((pane) => framesOf(page, pane, 1)));
      const before = await all();
      await server.crashGpu();
      await page
        .getByRole('alert')
        .filter({ hasText: 'graphics device was lost' })
        .waitFor({ timeout: PATIENCE });
      // Files are written without the device.
      const download = page.waitForEvent('download', { timeout: PATIENCE });
      await button(page, 'GIF').click();
      await download;
      expect(await page.getByRole('alert').textContent()).toContain('graphics device was lost');
      await picture(page, '9-device-lost');
      expect(await violations(page)).toEqual([]);
      await button(page, 'Start again').click();
      await ready(page);
      expect(await all()).toEqual(before);
      expect(await page.locator('footer').textContent()).toContain('with my-style.safetensors');
      await button(page, 'Generate').click();
      await generated(page);
    },
    WHOLE_TEST,
  );

  test(
    'a run that does not fit is refused, with a size that does',
    async () => {
      const { page } = open;
      const small = await memoryOf(page);
      for (const side of ['Width', 'Height']) {
        await change(page, `${side}, pixels`, 320);
        await ready(page);
      }
      const between = Number(((small + (await memoryOf(page))) / 2).toFixed(3));
      await change(page, 'Memory, GB', between);
      const instead = page.getByRole('button', { name: /^Use \d+×\d+/ });
      await instead.waitFor({ timeout: PATIENCE });
      expect(await button(page, 'Generate').isDisabled()).toBe(true);
      await picture(page, '8-refused');
      await instead.click();
      await ready(page);
      expect(await memoryOf(page)).toBeLessThanOrEqual(between);
    },
    WHOLE_TEST,
  );

  test(
    'the page is usable on a phone, in the dark, and by keyboard',
    async () => {
      const phone = { viewport: { width: 380, height: 800 }, colorScheme: 'dark' as const, hasTouch: true };
      // The next test goes on with this page.
      open = await server.open(await smallLink(), phone, headset());
      const { page } = open;
      // A link plays when it is opened.
      await generated(page);
      await ready(page);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(width).toBeLessThanOrEqual(380);
      await page.screenshot({ path: join(PICTURES, '10-phone.png'), fullPage: true });
      // In the dark, with all panels open.
      await page.evaluate(() => {
        for (const panel of document.querySelectorAll('details')) panel.open = true;
      });
      expect(await violations(page)).toEqual([]);
      await page.evaluate(() => {
        for (const panel of document.querySelectorAll('details')) panel.open = false;
      });
      const reached: string[] = [];
      for (let i = 0; i < 16; i++) {
        await page.keyboard.press('Tab');
        reached.push(
          await page.evaluate(
            () => document.activeElement?.ariaLabel || document.activeElement?.textContent || '',
          ),
        );
      }
      const [{ name: first }] = GALLERY;
      for (const name of ['Frame', 'The simulator (T)', 'Share', first])
        expect(
          reached.some((text) => text.startsWith(name)),
          name,
        ).toBe(true);
      expect(reached.some((text) => text.startsWith('The room. Arrow keys'))).toBe(true);
      const unnamed = await page.evaluate(() =>
        [...document.querySelectorAll('button, input, select, textarea')]
          .filter(
            (field) => !field.ariaLabel && !field.textContent && !(field as HTMLInputElement).labels?.length,
          )
          .map((field) => field.outerHTML),
      );
      expect(unnamed).toEqual([]);
    },
    WHOLE_TEST,
  );

  test(
    'hands follow a headset (emulated by iwer)',
    async () => {
      const { page } = open;
      await ready(page);
      await unfold(page, 'The hand');
      // Iwer's own picture lies over the page from then on.
      const press = (name: string) => page.locator('button', { hasText: name }).dispatchEvent('click');
      await press('By headset');
      await button(page, 'Stop following').waitFor({ timeout: PATIENCE });
      // The newest of what is followed has been drawn once its frames come.
      await page.waitForTimeout(500);
      await press('Record 1.1 s');
      await page
        .getByRole('button', { name: 'Undo' })
        .and(page.locator(':enabled'))
        .waitFor({ timeout: PATIENCE });
      await press('Stop following');
      const { frames } = await motionOf(page);
      expect(frames).toHaveLength(SMALL.frames);
      // Iwer's hands are both there from the first frame on.
      expect(frames.at(-1)!.hands.left.joints).toHaveLength(25);
      expect(frames.at(-1)!.hands.right.joints).toHaveLength(25);
      expect(
        open.complaints.filter((line) => line.startsWith('asked') || /Security Policy/.test(line)),
      ).toEqual([]);
    },
    WHOLE_TEST,
  );

  test.skipIf(NO_CAMERA !== undefined)(
    `a webcam moves the hand, and says what is wrong with it${NO_CAMERA ? `: skipped, ${NO_CAMERA}` : ''}`,
    async () => {
      // A left hand at a drawer.
      const flags = await fakeCamera(HANDS_CLIP, [6, 7, 8], join(PICTURES, '../camera.y4m'));
      const watching = await PageServer.start({ flags });
      const { page, complaints } = await watching.open('', undefined, KEEPS_CAMERA);
      const follow = button(page, 'By webcam');
      const says = (line: RegExp) =>
        page.getByRole('alert').filter({ hasText: line }).waitFor({ timeout: PATIENCE });
      await page.locator('[data-showing=room] .call').waitFor({ timeout: PATIENCE });
      await unfold(page, 'The hand');
      await follow.click();
      await says(/camera was refused: allow it/);
      await changesRoom(page, 'the webcam', async () => {
        await page.context().grantPermissions(['camera']);
        await follow.click();
        await page.getByText('Your hand moves this one').waitFor({ state: 'attached', timeout: PATIENCE });
      });
      await picture(page, '13-webcam');
      await page.evaluate('camera.getTracks()[0].dispatchEvent(new Event("ended"))');
      await says(/camera is gone: plug it in/);
      expect(await page.evaluate('camera.active')).toBe(false);
      expect(complaints).toEqual([]);
      await watching.close();
    },
    WHOLE_TEST,
  );

  test(
    'a live model answers while the hand moves, two blocks under way at most, and begins anew when told',
    async () => {
      open = await server.open('?model=live');
      const { page, complaints } = open;
      await ready(page);
      // One that is built in is there already.
      if (!hasLiveModel()) await page.getByLabel(/^Open a model folder/).setInputFiles(await liveFolder());
      await page.locator('footer', { hasText: 'dwm-tiny-live' }).waitFor({ timeout: PATIENCE });
      await ready(page);
      await page.getByRole('application').scrollIntoViewIfNeeded();
      const blocks = (count: number) =>
        page.locator(`.stage[data-blocks="${count}"]`).waitFor({ timeout: WHOLE_TEST });
      const pixels = () => pixelsOf(page, 'generated');
      const take = async () => {
        await page.locator('[data-showing=room] .call').waitFor({ timeout: PATIENCE });
        const { x, y, width, height } = (await page.locator('.call .line circle').boundingBox())!;
        await page.mouse.move(x + width / 2, y + height / 2);
        await page.mouse.down();
        return (to: number) => page.mouse.move(x + width / 2 + to, y + height / 2 + to, { steps: 4 });
      };
      const drag = await take();
      await blocks(1);
      await page.locator('[data-showing=live]').waitFor({ timeout: PATIENCE });
      const first = await pixels();
      await server.trace(page);
      // The hand goes on in the next blocks: the picture does within three.
      await drag(30);
      await blocks(3);
      await drag(60);
      await blocks(4);
      const longest = longestTask(await server.traced());
      expect(longest).toBeGreaterThan(0);
      expect(longest).toBeLessThan(50);
      expect(await pixels()).not.toEqual(first);
      await page.mouse.up();
      await button(page, 'Watch it').waitFor({ timeout: PATIENCE });
      await ready(page);
      const stage = page.locator('.stage');
      expect(Number(await stage.getAttribute('data-together'))).toBeLessThanOrEqual(2);
      const held = Number(await stage.getAttribute('data-held'));
      expect(await page.getByText(/^Drawn live by the model: .* frames a second in software$/).count()).toBe(
        1,
      );
      await picture(page, '12-live');
      // What was made is a clip like any other, and a link carries it.
      await button(page, 'Watch it').click();
      await page.locator('[data-showing=answer]').waitFor();
      expect((await framesOf(page, 'generated', 1))[0]).toEqual(first);
      await unfold(page, 'Share');
      expect(await violations(page)).toEqual([]);
      await button(page, 'Link').click();
      const address = await page.getByLabel('The link').inputValue();
      expect(new URL(address).pathname).toMatch(/room-\d+\.html$/);
      const { trajectory, settings } = (await readLink(new URL(address).hash))!;
      expect(trajectory!.frames).toHaveLength(settings.frames);
      expect(settings.frames % 4).toBe(1);
      await button(page, 'Take the hand again').click();
      await page.locator('[data-showing=live]').waitFor();
      await button(page, 'Start again').click();
      await blocks(0);
      await ready(page);
      await take();
      await blocks(1);
      await page.locator('[data-showing=live]').waitFor({ timeout: PATIENCE });
      // The same hand in the same room, from the same noise.
      expect(await pixels()).toEqual(first);
      await page.mouse.up();
      await button(page, 'Watch it').waitFor({ timeout: PATIENCE });
      expect(Number(await stage.getAttribute('data-held'))).toBeLessThanOrEqual(held);
      expect(complaints).toEqual([]);
    },
    2 * WHOLE_TEST,
  );

  test(
    'a visitor who does anything at all meets no error, and what the device holds does not grow',
    async () => {
      open = await server.open(await smallLink());
      const { page, complaints } = open;
      await generated(page);
      const random = new Random(VISITOR);
      /** Lets everything end, and goes to the same room at the same size. */
      const settle = async (): Promise<number> => {
        await page.locator('main[aria-busy=false]').waitFor({ timeout: PATIENCE });
        const stopped = page.getByRole('alert').getByRole('button', { name: 'Start again' });
        if ((await stopped.count()) > 0) await stopped.click();
        await ready(page);
        await page.evaluate(() => {
          for (const panel of document.querySelectorAll('details')) panel.open = true;
        });
        if ((await page.locator('footer', { hasText: 'dwm-tiny-live' }).count()) > 0) {
          await page.getByRole('button', { name: /^The one that makes whole clips/ }).click();
          await ready(page);
        }
        for (const [label, value] of [
          ['Frames', SMALL.frames],
          ['Width, pixels', SMALL.width],
          ['Memory, GB', 8],
        ] as const) {
          await change(page, label, value);
          await ready(page);
        }
        await page.getByRole('button', { name: GALLERY[0].name }).click();
        await ready(page);
        return Number(await page.locator('[data-held]').last().getAttribute('data-held'));
      };
      const held: number[] = [];
      for (let half = 0; half < 2; half++) {
        for (let i = 0; i < ACTIONS / 2; i++) await act(page, random);
        held.push(await settle());
      }
      expect(held[0]).toBeGreaterThan(0);
      // A model that was just loaded holds 5% more than one that has run.
      expect(held[1]).toBeLessThan(1.1 * held[0]);
      expect(complaints).toEqual([]);
    },
    WHOLE_TEST + ACTIONS * 5000,
  );

  test(
    'without WebGPU the page says which browsers work, and shows a recording',
    async () => {
      const without = await PageServer.start({ webgpu: false });
      const { page, complaints } = await without.open();
      await page.getByRole('heading', { name: 'Browsers that work' }).waitFor({ timeout: PATIENCE });
      await page.locator('figure img').evaluate((image: HTMLImageElement) => image.decode());
      await picture(page, '11-no-webgpu');
      expect(await violations(page)).toEqual([]);
      expect(complaints).toEqual([]);
      await without.close();
    },
    WHOLE_TEST,
  );
});

/** Firefox keeps it from Linux, where it works on any Vulkan driver. */
const WITH_WEBGPU = { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true };

describe.each([
  ['Firefox', noFirefox(), () => startFirefox({})],
  ['Firefox with WebGPU switched on', noFirefox(), () => startFirefox(WITH_WEBGPU)],
  ['WebKitGTK', noWebKit(), startWebKit],
] as const)('in %s', (name, missing, start) => {
  test.skipIf(missing !== undefined)(
    `a link is answered where there is WebGPU, else the page says what to do${missing ? `: ${missing}` : ''}`,
    async () => {
      const served = await servePage();
      const browser = await start();
      try {
        await browser.open(served.address + (await smallLink()));
        const able = await browser.run<boolean>('return !!(await navigator.gpu?.requestAdapter())');
        const seen = await browser.run<{ alert: string | null; colours?: number; recording: number }>(`
          const alert = () => document.querySelector('[role=alert]')?.textContent;
          const there = async (selector) => {
            while (!document.querySelector(selector) && !alert()) await new Promise((r) => setTimeout(r, 100));
            return document.querySelector(selector);
          };
          let colours;
          if (await there('[data-showing=answer] .say .main')) {
            const made = document.querySelector('canvas[data-picture=generated]');
            const { data } = made.getContext('2d').getImageData(0, 0, made.width, made.height);
            colours = new Set(data).size;
            document.querySelector('.say .main').click();
            await there('[data-showing=room] .call');
          }
          const recording = document.querySelector('.recording, figure img');
          await recording.decode();
          return { alert: alert() ?? null, colours, recording: recording.naturalWidth };`);
        mkdirSync(PICTURES, { recursive: true });
        await writeFile(join(PICTURES, `14-${name.replaceAll(' ', '-')}.png`), await browser.picture());
        expect(seen.recording).toBe(96);
        if (able) expect(seen.colours).toBeGreaterThan(10);
        if (able) expect(seen.alert).toBeNull();
        else expect(seen.alert).toMatch(/^This browser (has no WebGPU|finds no graphics processor).*:/);
      } finally {
        await browser.close();
        await served.close();
      }
    },
    WHOLE_TEST,
  );
});
