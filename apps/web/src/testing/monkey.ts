/** A visitor who does anything at all: the same for the same seed, as far as the page is as fast. */
import type { Random } from '@dwm/synth';
import type { Page } from 'playwright-core';
import { boxGlb } from './box-glb.ts';

const KEYS =
  'ArrowLeft ArrowRight ArrowUp ArrowDown PageUp PageDown KeyZ KeyX KeyG KeyW KeyS KeyA KeyD KeyH KeyT Tab Enter Space Escape';

/** What takes the visitor away, asks for a device that is not there, or for a file. */
const LEFT_ALONE = /headset|Fetch and keep|Remove |Record/;

/** Values that fields take and that they refuse; none that makes a run large. */
const FIELDS: Readonly<Record<string, readonly number[]>> = {
  Seed: [0, 7, -1, 0.5],
  Steps: [1, 2, 0, 1e6],
  Frames: [5, 9, 6, -3],
  'Width, pixels': [48, 64, 50, 1e9],
  'Memory, GB': [8, 0],
};

const some = <T>(random: Random, of: readonly T[]): T => of[Math.floor(random.next() * of.length)];

async function drag(page: Page, random: Random): Promise<void> {
  const box = await page.getByRole('application').boundingBox();
  if (!box) return;
  const at = () => [box.x + random.next() * box.width, box.y + random.next() * box.height] as const;
  await page.mouse.move(...at());
  await page.mouse.down({ button: random.next() < 0.2 ? 'right' : 'left' });
  for (let i = 0; i < 4; i++) await page.mouse.move(...at());
  await page.mouse.up();
  await page.mouse.up({ button: 'right' });
}

async function press(page: Page, random: Random): Promise<void> {
  const buttons = page.locator(
    'button:enabled:visible, summary:visible, input[type=checkbox]:enabled:visible',
  );
  const index = Math.floor(random.next() * Math.max(1, await buttons.count()));
  const one = buttons.nth(index);
  const name = await one.textContent({ timeout: 1000 }).catch(() => null);
  if (name === null || LEFT_ALONE.test(name)) return;
  // It may be gone, or no longer enabled.
  await one.click({ timeout: 1000, force: true }).catch(() => {});
}

async function fill(page: Page, random: Random): Promise<void> {
  const label = some(random, Object.keys(FIELDS));
  const value = some(random, FIELDS[label]);
  const field = page.getByLabel(label, { exact: true });
  await field.fill(String(value), { timeout: 500, force: true }).catch(() => {});
  await field.blur({ timeout: 500 }).catch(() => {});
}

/** Files that the page takes, and that it refuses. */
const FILES: readonly (readonly [name: string, content: Uint8Array])[] = [
  ['box.glb', boxGlb()],
  ['broken.glb', boxGlb().subarray(0, 300)],
  ['motion.json', new TextEncoder().encode('{"frames": 3}')],
];

/** Drops files on the page together. */
export async function drop(
  page: Page,
  ...files: (readonly [name: string, content: Uint8Array])[]
): Promise<void> {
  await page.evaluate(
    (all) => {
      const data = new DataTransfer();
      for (const [name, bytes] of all) data.items.add(new File([Uint8Array.from(bytes)], name));
      const event = new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true });
      document.querySelector('.page')!.dispatchEvent(event);
    },
    files.map(([name, content]) => [name, [...content]] as const),
  );
}

/** A screen, a tablet, a phone. */
const SIZES = [
  { width: 1440, height: 900 },
  { width: 1024, height: 768 },
  { width: 380, height: 800 },
];

/** Does one thing. */
export async function act(page: Page, random: Random): Promise<void> {
  const kind = random.next();
  if (kind < 0.03) await drop(page, some(random, FILES));
  else if (kind < 0.05) await page.setViewportSize(some(random, SIZES));
  else if (kind < 0.3) await drag(page, random);
  else if (kind < 0.5) await page.keyboard.press(some(random, KEYS.split(' ')));
  else if (kind < 0.85) await press(page, random);
  else await fill(page, random);
}
