/**
 * What other programs show of a link: a title, a sentence and a poster. What stands after the # of an address is never
 * sent to a server, so each room of the gallery has a page of its own with its poster: the same page, under a name that
 * can be told apart. `PAGE_URL` is where the page will be: most programs take absolute addresses only.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import type { HtmlTagDescriptor, Plugin } from 'vite';
import { GALLERY, roomPage } from '../src/gallery/rooms.ts';

const CLIPS = join(import.meta.dirname, '../src/gallery/clips');
const TITLE = 'Dexterous World Model';
const SENTENCE = 'Drag a hand in a room. A neural network draws what it does, on your own device.';
/** Of a card, in pixels. */
const [WIDTH, HEIGHT] = [1200, 630];

const posterOf = (seed: number) => `poster-${seed}.png`;

/** The room's recording as it ends, its pixels as they are. @param number of the room in the gallery, from 1. */
async function poster(number: number): Promise<Buffer> {
  const recording = await readFile(join(CLIPS, `${number}.webp`));
  const { pages = 1 } = await sharp(recording).metadata();
  return sharp(recording, { page: pages - 1 })
    .resize(WIDTH, HEIGHT, { kernel: 'nearest', fit: 'cover' })
    .png({ palette: true })
    .toBuffer();
}

function tagsOf(title: string, seed: number, page: string): HtmlTagDescriptor[] {
  const { PAGE_URL } = process.env;
  const at = (name: string) => (PAGE_URL ? new URL(name, PAGE_URL).href : `./${name}`);
  const named = (of: 'property' | 'name', tags: Record<string, string>): HtmlTagDescriptor[] =>
    Object.entries(tags).map(([name, content]) => ({ tag: 'meta', attrs: { [of]: name, content } }));
  return [
    ...named('property', {
      'og:type': 'website',
      'og:title': title,
      'og:description': SENTENCE,
      'og:image': at(posterOf(seed)),
      'og:image:width': String(WIDTH),
      'og:image:height': String(HEIGHT),
      'og:image:alt': `What the model drew: ${title}`,
      ...(PAGE_URL && { 'og:url': at(page) }),
    }),
    ...named('name', { 'twitter:card': 'summary_large_image' }),
  ];
}

const written = (tags: readonly HtmlTagDescriptor[]) =>
  tags
    .map(({ attrs = {} }) => {
      const parts = Object.entries(attrs).map(
        ([key, value]) => `${key}="${String(value).replaceAll('&', '&amp;').replaceAll('"', '&quot;')}"`,
      );
      return `    <meta ${parts.join(' ')} />`;
    })
    .join('\n')
    .trim();

const PLACE = '<!-- preview card -->';

export function previewCards(): Plugin {
  return {
    name: 'preview-cards',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      async handler(_, bundle) {
        const page = bundle['index.html'];
        if (page?.type !== 'asset' || !String(page.source).includes(PLACE))
          this.error(`index.html: has no ${PLACE}`);
        const html = String(page.source);
        const [{ seed: first }] = GALLERY;
        for (const [i, { seed, name }] of GALLERY.entries()) {
          const card = written(tagsOf(`${name}: ${TITLE}`, seed, roomPage(seed)));
          this.emitFile({ type: 'asset', fileName: roomPage(seed), source: html.replace(PLACE, card) });
          this.emitFile({ type: 'asset', fileName: posterOf(seed), source: await poster(i + 1) });
        }
        page.source = html.replace(PLACE, written(tagsOf(TITLE, first, '')));
      },
    },
  };
}
